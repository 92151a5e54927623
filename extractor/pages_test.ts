import assert from "node:assert/strict";
import { startSource } from "../local/source.ts";
import * as faults from "../tests/support/faulty_source.ts";
import type { Source } from "./source.ts";
import { pagesOf } from "./pages.ts";

const FOREVER = new AbortController().signal;

function sourceAt(url: string): Source {
  return {
    url: new URL(url),
    name: url,
    batchSize: 10,
    timeoutMs: 10_000,
    maxBytes: 1_000_000,
    maxRetries: 0,
    retryDelaysMs: [0],
    sleep: () => Promise.resolve(),
  };
}

/** A source that says when page n was asked for. */
async function watched(users: number, plan: Parameters<typeof faults.withFaults>[0] = () => undefined) {
  const asked: number[] = [];
  const waiting = new Map<number, () => void>();
  const source = await startSource({
    users,
    wrap: faults.withFaults((page) => {
      asked.push(page.skip);
      waiting.get(page.skip)?.();
      return plan(page);
    }),
  });
  const pageAsked = (skip: number) =>
    asked.includes(skip) ? Promise.resolve() : new Promise<void>((done) => void waiting.set(skip, done));
  return { source, asked, pageAsked };
}

Deno.test("while a page is used the next one is fetched, and no other", async () => {
  const { source, asked, pageAsked } = await watched(30);
  await using _ = source;
  const pages = pagesOf(sourceAt(source.url), { skip: 0, firstTotal: undefined }, FOREVER);
  assert.equal((await pages.next()).value?.skip, 0);
  await pageAsked(10);
  assert.deepEqual(asked, [0, 10]);
  assert.equal((await pages.next()).value?.skip, 10);
  await pageAsked(20);
  assert.deepEqual(asked, [0, 10, 20]);
  assert.equal((await pages.next()).value?.skip, 20);
  assert.equal((await pages.next()).done, true);
  assert.deepEqual(asked, [0, 10, 20]);
});

Deno.test("a page that can't be fetched is told when the pages before it were handed out", async () => {
  const { source } = await watched(30, ({ skip }) => skip === 10 ? faults.status(500) : undefined);
  await using _ = source;
  const pages = pagesOf(sourceAt(source.url), { skip: 0, firstTotal: undefined }, FOREVER);
  assert.equal((await pages.next()).value?.records.length, 10);
  await assert.rejects(pages.next(), /page skip=10 of/);
});

Deno.test("a reader that stops early ends the request in flight", async () => {
  const { source, pageAsked } = await watched(30, ({ skip }) => skip === 10 ? faults.silent : undefined);
  await using _ = source;
  for await (const page of pagesOf(sourceAt(source.url), { skip: 0, firstTotal: undefined }, FOREVER)) {
    await pageAsked(10);
    assert.equal(page.skip, 0);
    break;
  }
});
