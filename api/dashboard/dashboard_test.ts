import assert from "node:assert/strict";
import { openApi } from "../../tests/support/api.ts";
import { languageOf } from "./dashboard.ts";
import { TEXTS } from "./web/texts.ts";

const html = { accept: "text/html" };

Deno.test("each address of the dashboard returns the page, under a policy that allows only this host", async () => {
  await using pipeline = await openApi();
  for (
    const path of ["/", "/runs/1", "/runs/1/invalid", "/dead", "/notifications", "/sql?query=SELECT%201"]
  ) {
    const answer = await pipeline.send(path, { headers: html });
    assert.equal(answer.status, 200);
    const policy = answer.headers.get("content-security-policy")!;
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    const page = await answer.text();
    assert.doesNotMatch(page, /https?:|<style|style=|<script>/);
    assert.match(page, /<script src="\/dashboard\/app\.js\?v=[0-9a-f]{12}" type="module">/);
  }
  assert.equal(await (await pipeline.send("/")).text(), '{"status":"Pipeline API working"}');
});

Deno.test("assets of a page may be cached forever, as their address changes with their content", async () => {
  await using pipeline = await openApi();
  const page = await (await pipeline.send("/", { headers: html })).text();
  const addresses = [...page.matchAll(/(?:src|href)="(\/dashboard\/[^"]+)"/g)].map(([, address]) => address!);
  assert.equal(addresses.length, 3);
  for (const address of addresses) {
    const answer = await pipeline.send(address);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("cache-control")!, /immutable/);
    assert.ok((await answer.arrayBuffer()).byteLength > 100);
  }
});

Deno.test("the page uses the language chosen by the switch, otherwise the one that the browser prefers", async () => {
  await using pipeline = await openApi();
  const lang = async (headers: Record<string, string>) =>
    /<html lang="(\w+)"/.exec(
      await (await pipeline.send("/", { headers: { ...html, ...headers } })).text(),
    )![1];
  assert.equal(await lang({}), "en");
  assert.equal(await lang({ "accept-language": "es-MX,es;q=0.9,en;q=0.8" }), "es");
  assert.equal(await lang({ "accept-language": "es", cookie: "lang=en" }), "en");
  assert.equal(await lang({ "accept-language": "es", cookie: 'lang="><script>' }), "es");
  assert.equal(languageOf("de, es;q=0.5, en;q=0.7"), "en");
  assert.equal(languageOf("fr"), "en");
  assert.equal(languageOf("en;q=0, es;q=0.1"), "es");
});

Deno.test("both languages have the same texts with the same placeholders", () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, [english, spanish]] of Object.entries(TEXTS)) {
    assert.deepEqual(places(spanish), places(english), key);
    assert.notEqual(spanish.trim(), "", key);
  }
});
