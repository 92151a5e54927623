/** The page that asks for the token. Its style and script are allowed by their hashes. */
import { hashSource, pagePolicy } from "./pages.ts";

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
li { margin: .5rem 0; }
input, button { font: inherit; padding: .4rem .6rem; }
[role=alert] { color: #c00; }
`;

const SCRIPT = `
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
`;

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ETL pipeline: sign in</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>ETL pipeline</h1>
<form>
<p><label for="token">This API requires a token: the value of API_TOKEN in its configuration.</label></p>
<p><input id="token" type="password" autocomplete="current-password" required autofocus> <button>Sign in</button></p>
<p role="alert" hidden>The token is wrong.</p>
</form>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;

const POLICY = pagePolicy({
  style: hashSource(STYLE),
  script: hashSource(SCRIPT),
  more: ["img-src data:"],
});

export function signInPage(headers: Record<string, string>): Response {
  return new Response(PAGE, {
    status: 401,
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY, ...headers },
  });
}
