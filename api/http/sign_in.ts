import { page } from "./pages.ts";

export function signInPage(headers: Record<string, string>): Response {
  return page({
    title: "ETL pipeline: sign in",
    status: 401,
    headers,
    body: `<main>
<h1>ETL pipeline</h1>
<form>
<p><label for="token">This API requires a token: the value of API_TOKEN in its configuration.</label></p>
<p><input id="token" type="password" autocomplete="current-password" required autofocus> <button>Sign in</button></p>
<p role="alert" hidden>The token is wrong.</p>
</form>
</main>`,
    script: `
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: document.querySelector("#token").value }),
  });
  await answer.text();
  if (answer.ok) location.reload();
  else document.querySelector("[role=alert]").hidden = false;
});
`,
  });
}
