import assert from "node:assert/strict";
import { Bell, readAtEachRing, waitForClaim } from "./bell.ts";

const NEVER = new AbortController().signal;
const LONG_MS = 60_000;

Deno.test("a ring between checking and waiting is not missed", async () => {
  const bell = new Bell();
  const { rings } = bell;
  bell.ring();
  await bell.wait(rings, LONG_MS, NEVER);
  assert.equal(bell.rings, 1);
});

Deno.test("all waiters are woken by a ring, by their signal or by their timeout, and leave nothing behind", async () => {
  const bell = new Bell();
  const end = new AbortController();
  const waits = [bell.wait(0, LONG_MS, end.signal), bell.wait(0, LONG_MS, end.signal)];
  bell.ring();
  await Promise.all(waits);
  const aborted = bell.wait(1, Infinity, end.signal);
  end.abort();
  await aborted;
  await bell.wait(1, LONG_MS, end.signal);
  await bell.wait(1, 1, NEVER);
});

Deno.test("a found claim is returned even if the signal was aborted meanwhile", async () => {
  const end = new AbortController();
  const claim = {
    id: "m",
    body: "",
    attempt: 1,
    publishedAt: 0,
    extend: () => Promise.resolve(),
    complete: () => Promise.resolve(),
    retry: () => Promise.resolve(),
    bury: () => Promise.resolve(),
  };
  const found = await waitForClaim(new Bell(), end.signal, () => {
    end.abort();
    return Promise.resolve(claim);
  });
  assert.equal(found, claim);
});

Deno.test("reading continues immediately while there are messages, and at each ring", async () => {
  const bell = new Bell();
  const end = new AbortController();
  const pages = [["a", "b"], ["c"], [], ["d"]];
  const seen: string[] = [];
  const read = () => {
    const page = pages.shift() ?? [];
    if (page.length === 0) queueMicrotask(() => bell.ring());
    return Promise.resolve(page);
  };
  for await (const body of readAtEachRing(bell, end.signal, read, LONG_MS)) {
    seen.push(body);
    if (body === "d") end.abort();
  }
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
});
