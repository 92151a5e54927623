import assert from "node:assert/strict";
import { startSource } from "../local/source.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { sourceIn, usersSource } from "../tests/support/extraction.ts";
import { numbered, startPaged } from "../tests/support/paged_source.ts";
import { thingsOf } from "../tests/support/things.ts";
import { firstPage, pagesOf } from "./pages.ts";

const FOREVER = new AbortController().signal;

const sourceAt = (url: string) => usersSource(url, 10, { maxRetries: 0, retryDelaysMs: [0] });
const FROM_START = { position: { skip: 0 }, received: 0, pages: 0, firstTotal: undefined, announced: {} };

/** Starts a source that reports when each page is requested. */
async function watched(users: number, plan: Parameters<typeof faults.withFaults>[0] = () => undefined) {
  const requested: number[] = [];
  const waiting = new Map<number, () => void>();
  const source = await startSource({
    users,
    wrap: faults.withFaults((page) => {
      requested.push(page.skip);
      waiting.get(page.skip)?.();
      return plan(page);
    }),
  });
  const pageRequested = (skip: number) =>
    requested.includes(skip) ? Promise.resolve() : new Promise<void>((done) => void waiting.set(skip, done));
  return { source, requested, pageRequested };
}

Deno.test("with concurrency, the next page is fetched while a page is used", async () => {
  const { source, requested, pageRequested } = await watched(30);
  await using _ = source;
  using own = sourceAt(source.url);
  const pages = pagesOf({ ...own, concurrency: 2 }, FROM_START, FOREVER);
  assert.equal((await pages.next()).value?.position.skip, 0);
  await pageRequested(10);
  await pageRequested(20);
  assert.deepEqual((await Array.fromAsync(pages)).map(({ position }) => position.skip), [10, 20]);
  assert.deepEqual(requested.toSorted((a, b) => a - b), [0, 10, 20], "and no other");
});

Deno.test("without concurrency, the next page is requested only after the last one is saved, so that a kill repeats at most one", async () => {
  const { source, requested } = await watched(30);
  await using _ = source;
  using own = sourceAt(source.url);
  const done: number[] = [];
  for await (const { position } of pagesOf(own, FROM_START, FOREVER)) {
    done.push(position.skip as number);
    const later = new URL(source.url);
    later.searchParams.set("skip", "1000");
    await (await fetch(later)).text(); // by now the earlier requests are counted
    assert.deepEqual(requested.filter((skip) => skip < 1000), done);
  }
  assert.deepEqual(done, [0, 10, 20]);
});

Deno.test("a failed page is reported after the pages before it were handed out", async () => {
  const { source } = await watched(30, ({ skip }) => skip === 10 ? faults.status(500) : undefined);
  await using _ = source;
  using own = sourceAt(source.url);
  const pages = pagesOf(own, FROM_START, FOREVER);
  assert.equal((await pages.next()).value?.records?.length, 10);
  await assert.rejects(pages.next(), /page skip=10 of/);
});

Deno.test("a reader that stops early ends the request in flight", async () => {
  const { source, pageRequested } = await watched(30, ({ skip }) => skip === 10 ? faults.silent : undefined);
  await using _ = source;
  using own = sourceAt(source.url);
  for await (const page of pagesOf({ ...own, concurrency: 2 }, FROM_START, FOREVER)) {
    await pageRequested(10);
    assert.equal(page.position.skip, 0);
    break;
  }
});

Deno.test("a first page that no run would take as the only one is refused when it is tried", async () => {
  await using paged = await startPaged(() => Response.json(numbered(10)));
  using source = sourceIn(
    thingsOf({ query: { limit: 10 }, paging: { by: "none" } }, `${paged.origin}/things`),
    {},
  );
  await assert.rejects(firstPage(source, FOREVER), /as many as limit asks for, and names no next page/);
});
