import assert from "node:assert/strict";
import type { RunningSource } from "../local/source.ts";
import { startSource } from "../local/source.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { fetchPage, retryAfterMs } from "./page.ts";
import { usersSource } from "../tests/support/extraction.ts";
import type { Patience, Source } from "./source.ts";

const FOREVER = new AbortController().signal;

/** A source that records its delays instead of waiting. */
function patient(
  source: RunningSource,
  change: Partial<Patience> & { url?: string } = {},
): Source & { waits: number[] } {
  const waits: number[] = [];
  const { url = source.url, ...patience } = change;
  const sleep = (ms: number) => Promise.resolve(void waits.push(ms));
  const delays = { maxRetries: 3, retryDelaysMs: [5_000, 15_000, 45_000], timeoutMs: 5_000 };
  return { ...usersSource(url, 100, { ...delays, maxBytes: 10_000_000, sleep, ...patience }), waits };
}

/** Fetches the page that starts at record `skip`. */
function fetchAt(source: Source, skip: number, signal: AbortSignal) {
  return fetchPage(source, { position: { skip }, label: `skip=${skip}`, seen: () => ({}) }, signal);
}

async function failure(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(() => undefined, (error) => error);
  assert.ok(error instanceof PermanentError, String(error));
  return error;
}

Deno.test("a page has its records' text, their ids and the total", async () => {
  await using running = await startSource();
  using source = patient(running);
  const page = await fetchAt(source, 200, FOREVER);
  assert.deepEqual([page.position.skip, page.way.total, page.records!.length], [200, 208, 8]);
  assert.deepEqual(page.records!.ids, [201, 202, 203, 204, 205, 206, 207, 208]);
  const raw = await (await fetch(`${running.url}?limit=100&skip=200`)).text();
  const lines = new TextDecoder().decode(page.records!.intoLines(() => true));
  assert.ok(raw.includes(lines.trimEnd().replaceAll("\n", ",")));
});

Deno.test("other query parameters of the address are kept, and credentials are sent but never shown", async () => {
  let requested = { url: "", authorization: "" as string | null };
  await using running = await startSource({
    wrap: (answer) => (request) => {
      requested = { url: request.url, authorization: request.headers.get("authorization") };
      return answer(request);
    },
  });
  const url = `${running.url.replace("//", "//user:pw@")}?select=id%2Cage&api_token=s3cret&limit=7`;
  using source = patient(running, { url });
  await fetchAt(source, 100, FOREVER);
  const { searchParams } = new URL(requested.url);
  assert.deepEqual([...searchParams], [["select", "id,age"], ["api_token", "s3cret"], ["limit", "100"], [
    "skip",
    "100",
  ]]);
  assert.equal(requested.authorization, `Basic ${btoa("user:pw")}`);
  assert.equal(source.name, `${running.url}?select=id%2Cage&api_token=***&limit=7`);
});

Deno.test("a source that recovers within three more tries is waited for, with growing delays", async () => {
  await using running = await startSource({
    wrap: faults.withFaults(faults.inTurn(faults.status(500), faults.html, faults.reset)),
  });
  using source = patient(running);
  const page = await fetchAt(source, 0, FOREVER);
  assert.equal(page.records!.length, 100);
  const within = (ms: number | undefined, least: number) =>
    ms !== undefined && ms >= least && ms <= least * 1.2;
  assert.equal(source.waits.length, 3);
  assert.ok(
    [5_000, 15_000, 45_000].every((least, i) => within(source.waits[i], least)),
    String(source.waits),
  );
});

Deno.test("if all tries of a page fail, the error names page, source and each reason", async () => {
  await using running = await startSource({ wrap: faults.withFaults(() => faults.status(500)) });
  using source = patient(running);
  const error = await failure(fetchAt(source, 200, FOREVER));
  assert.equal(source.waits.length, 3);
  assert.ok(error instanceof PermanentError && error.retryable, "asking again later can help");
  assert.match(
    error.message,
    /^Cannot fetch page skip=200 of http:\S+\/users: HTTP 500 \(4 times\)\. The run's state is kept at skip=200/,
  );
});

Deno.test("for a source that refuses the credentials, the error asks for others", async () => {
  for (const status of [401, 403]) {
    await using running = await startSource({ wrap: faults.withFaults(() => faults.status(status)) });
    using source = patient(running);
    assert.match(
      (await failure(fetchAt(source, 0, FOREVER))).message,
      new RegExp(
        `HTTP ${status} \\(4 times\\)\\..* once its definition has credentials that the source accepts, start a run`,
      ),
    );
  }
});

Deno.test("a used up rate limit sets the delay, until it is reset", () => {
  const at = (remaining: string, reset: string) =>
    retryAfterMs(
      new Headers({ "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset }),
      Date.UTC(2026, 10, 24, 3),
    );
  assert.equal(at("0", String(Date.UTC(2026, 10, 24, 3, 5) / 1_000)), 300_000);
  assert.equal(at("0", "90"), 90_000);
  assert.equal(at("0", "0"), undefined);
  assert.equal(at("0", String(Date.UTC(2026, 10, 24, 2) / 1_000)), undefined);
  assert.equal(at("0", ""), undefined);
  assert.equal(at("7", "90"), undefined);
});

Deno.test("Retry-After sets the delays, in seconds or as a date, up to an hour", async () => {
  await using running = await startSource({
    wrap: faults.withFaults(
      faults.inTurn(
        faults.status(429, { "retry-after": "7" }),
        faults.status(503, { "retry-after": "86400" }),
      ),
    ),
  });
  using source = patient(running);
  await fetchAt(source, 0, FOREVER);
  assert.deepEqual(source.waits, [7_000, 3_600_000]);
  const at = (value: string) =>
    retryAfterMs(new Headers({ "retry-after": value }), Date.UTC(2026, 10, 24, 3));
  assert.equal(at("Tue, 24 Nov 2026 03:00:30 GMT"), 30_000);
  assert.equal(at("Tue, 24 Nov 2026 02:00:00 GMT"), 0);
  assert.equal(at("soon"), undefined);
  assert.equal(at("1.5"), 1_500);
  assert.equal(at("-1"), undefined);
  assert.equal(at("5, 15"), undefined);
  assert.equal(retryAfterMs(new Headers()), undefined);
});

const SECRET = "900-590-289";
for (
  const [what, fault, reason] of [
    ["HTML", faults.html, /incomplete or invalid JSON \("text\/html", 50 bytes\)/],
    ["a truncated answer", faults.truncated, /incomplete or invalid JSON \("application\/json", \d+ bytes\)/],
    ["a connection that breaks", faults.reset, /no answer: /],
    [
      "bytes that aren't UTF-8",
      faults.text(new Uint8Array([0x7b, 0x22, 0xff, 0x22])),
      /not UTF-8 \(.*4 bytes\)/,
    ],
    ["nothing", faults.text(""), /incomplete or invalid JSON \(.*0 bytes\)/],
    ["JSON of another shape", faults.json({ error: SECRET }), /no page of users \(users: .*; total: /],
    [
      "a list",
      faults.json([SECRET]),
      /no page of users \(users: wanted a list, found a list in place of the complete answer; /,
    ],
    ["null", faults.json(null), /no page of users/],
    ["users that are no list", faults.json({ users: SECRET, total: 1 }), /no page of users \(users: /],
    ["a total that is none", faults.json({ users: [], total: "many" }), /no page of users \(total: /],
    ["a page with something behind it", faults.text(`{"users":[],"total":0}}`), /incomplete or invalid JSON/],
    ["another page", faults.json({ users: [], total: 0, skip: 50 }), /page skip=50 instead/],
    ["an empty page before the end", faults.json({ users: [], total: 208, skip: 0 }), /no users, though 208/],
    ["a circle of redirects", faults.redirectCircle, /redirects in a circle, to http:/],
    ["redirects for ever", faults.redirectForEver, /more than 5 redirects/],
    ["a redirect to no address", faults.redirect(() => "file:///etc/passwd"), /no HTTP address/],
    ["a redirect without address", faults.status(302), /HTTP 302/],
    ["not found", faults.status(404), /HTTP 404/],
  ] as const
) {
  Deno.test(`${what} in place of a page is retried, then reported without its content`, async () => {
    await using running = await startSource({ wrap: faults.withFaults(() => fault) });
    const url = `${running.url}?token=s3cret`;
    using source = patient(running, { url, maxRetries: 1 });
    const error = await failure(fetchAt(source, 0, FOREVER));
    assert.match(error.message, reason);
    assert.match(error.message, /\(2 times\)/);
    assert.ok(!error.message.includes(SECRET) && !error.message.includes("s3cret"), error.message);
  });
}

Deno.test("a few redirects are followed", async () => {
  await using running = await startSource({
    wrap: faults.withFaults(
      faults.inTurn(faults.redirect((url) => `${url.pathname}${url.search}&moved=1`, 308)),
    ),
  });
  using source = patient(running);
  assert.equal((await fetchAt(source, 0, FOREVER)).records!.length, 100);
  assert.deepEqual(source.waits, []);
});

Deno.test("a page has to arrive completely within the timeout, however slowly its bytes arrive", async () => {
  await using running = await startSource({
    wrap: faults.withFaults(({ nth }) => nth % 2 === 1 ? faults.slowBody(20) : faults.silent),
  });
  using source = patient(running, { timeoutMs: 150, maxRetries: 1 });
  const error = await failure(fetchAt(source, 0, FOREVER));
  assert.match(error.message, /no complete answer within 0\.15 s \(2 times\)/);
});

Deno.test("a page that is too large after decompression fails at once", async () => {
  await using running = await startSource({ wrap: faults.withFaults(() => faults.gzipBomb(50_000_000)) });
  using source = patient(running, { maxBytes: 1_000_000 });
  const error = await failure(fetchAt(source, 0, FOREVER));
  assert.match(error.message, /more than 1000000 bytes\. Set a smaller BATCH_SIZE \(now 100\)/);
  assert.deepEqual(source.waits, []);
});

Deno.test("an unreachable source is retried, and its address is shown without secrets", async () => {
  const running = await startSource();
  await running.close();
  const url = `${running.url}?token=s3cret`;
  using source = patient(running, { url });
  const error = await failure(fetchAt(source, 0, FOREVER));
  assert.match(error.message, /no answer: .*\(4 times\)/);
  assert.ok(!error.message.includes("s3cret"), error.message);
});

Deno.test("an abort ends the request and the wait between tries with its reason", async () => {
  const arrived = Promise.withResolvers<void>();
  await using running = await startSource({
    wrap: faults.withFaults(({ nth }) => {
      arrived.resolve();
      return nth === 1 ? faults.silent : faults.status(500);
    }),
  });
  const stop = new Error("stop");
  const during = new AbortController();
  using first = patient(running);
  const requested = fetchAt(first, 0, during.signal);
  await arrived.promise;
  during.abort(stop);
  await assert.rejects(requested, stop);
  const between = new AbortController();
  using source = patient(running, { sleep: () => Promise.resolve(between.abort(stop)) });
  await assert.rejects(fetchAt(source, 0, between.signal), stop);
});
