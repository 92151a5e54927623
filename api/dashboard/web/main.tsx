/// <reference lib="dom" />
import { type JSX, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { language, remember, t, theme } from "./i18n.ts";
import { Dashboard } from "./pages/dashboard.tsx";
import { DeadPage } from "./pages/dead.tsx";
import { NotificationsPage } from "./pages/notifications.tsx";
import { RecordPage } from "./pages/record.tsx";
import { RecordsPage } from "./pages/records.tsx";
import { RepairPage } from "./pages/repair.tsx";
import { RunPage } from "./pages/run.tsx";
import { SqlPage } from "./pages/sql.tsx";
import { address } from "./router.ts";
import { connected, renewed, signedOut } from "./state.ts";
import { Ask, Empty, Notices, Page } from "./ui.tsx";

function App(): JSX.Element {
  const { pathname } = address.value;
  useEffect(() => document.getElementById("content")?.focus({ preventScroll: true }), [pathname]);
  return (
    <>
      <a class="skip" href="#content">{t("skip")}</a>
      <Header pathname={pathname} />
      <Notices />
      {signedOut.value ? <SignIn /> : <Fitting pathname={pathname} />}
      <Ask />
    </>
  );
}

function Fitting({ pathname }: { pathname: string }): JSX.Element {
  const [, run, invalid] = /^\/runs\/([^/]+)(\/invalid)?$/.exec(pathname) ?? [];
  if (run !== undefined) {
    return invalid ? <RepairPage key={run} run={run} /> : <RunPage key={run} run={run} />;
  }
  if (pathname === "/") return <Dashboard />;
  if (pathname === "/records") return <RecordsPage />;
  if (pathname === "/record") return <RecordPage />;
  if (pathname === "/dead") return <DeadPage />;
  if (pathname === "/notifications") return <NotificationsPage />;
  if (pathname === "/sql") return <SqlPage />;
  return (
    <Page title={t("title")}>
      <Empty title={t("notFound")}>
        <a href="/">{t("back")}</a>
      </Empty>
    </Page>
  );
}

function Header({ pathname }: { pathname: string }): JSX.Element {
  const link = (href: string, text: string, here: boolean) => (
    <a href={href} aria-current={here ? "page" : undefined}>{text}</a>
  );
  return (
    <header>
      <div class="bar">
        <a class="brand" href="/">
          <span class="mark" aria-hidden="true" />
          {t("title")}
        </a>
        <nav aria-label={t("title")}>
          {link("/", t("runs"), pathname === "/" || pathname.startsWith("/runs/"))}
          {link("/records", t("currentRecords"), pathname === "/records" || pathname === "/record")}
          {link("/dead", t("dead"), pathname === "/dead")}
          {link("/notifications", t("notifications"), pathname === "/notifications")}
          {link("/sql", t("sql"), pathname === "/sql")}
          <a href="/graphql">GraphiQL</a>
          <a href="/docs">REST</a>
        </nav>
        <div class="switches">
          <span class={`live ${connected.value ? "" : "down"}`} aria-hidden="true">
            {connected.value ? t("connected") : ""}
          </span>
          <select
            aria-label={t("language")}
            value={language.value}
            onChange={({ currentTarget: { value } }) => {
              language.value = value === "es" ? "es" : "en";
              remember("lang", value);
            }}
          >
            <option value="en" lang="en">English</option>
            <option value="es" lang="es">Español</option>
          </select>
          <select
            aria-label={t("theme")}
            value={theme.value}
            onChange={({ currentTarget: { value } }) => {
              theme.value = value as typeof theme.value;
              remember("theme", value);
            }}
          >
            <option value="auto">{t("theme.auto")}</option>
            <option value="light">{t("theme.light")}</option>
            <option value="dark">{t("theme.dark")}</option>
          </select>
        </div>
      </div>
      <div role="status">{!connected.value && <p class="banner">{t("reconnecting")}</p>}</div>
    </header>
  );
}

function SignIn(): JSX.Element {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState(false);
  const signIn = async (event: Event) => {
    event.preventDefault();
    const answer = await fetch("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    }).catch(() => undefined);
    setWrong(!answer?.ok);
    if (!answer?.ok) return;
    signedOut.value = false;
    renewed.value++;
  };
  return (
    <Page title={t("signIn")}>
      <form class="panel narrow" onSubmit={signIn}>
        <p>{t("signInText")}</p>
        <label class="field">
          <span>{t("token")}</span>
          <input
            type="password"
            autocomplete="current-password"
            required
            value={token}
            onInput={({ currentTarget }) => setToken(currentTarget.value)}
          />
        </label>
        <div role="alert">{wrong && <p class="error">{t("wrongToken")}</p>}</div>
        <button type="submit" class="main">{t("signIn")}</button>
      </form>
    </Page>
  );
}

render(<App />, document.body);
