import assert from "node:assert/strict";
import { Busy, TransientError } from "../../errors/errors.ts";
import type { StateLock } from "../../files/state.ts";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { PostgresState } from "./extractor_state.ts";

const test = needing("postgres");

/** Opens the states of several machines on one database, with leases of `leaseMs`. */
async function withStates(
  leaseMs: number,
  body: (open: () => Promise<PostgresState>, expire: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using stack = new AsyncDisposableStack();
  const name = new URL(url).pathname.slice(1);
  await body(
    async () => stack.use(await PostgresState.open(url, leaseMs)),
    () => server.psql("UPDATE leases SET expires_at = '-infinity'", name),
  );
}

const take = (state: PostgresState, waitMs = 0): Promise<StateLock> =>
  state.lock("extractor", {
    waitMs,
    sleep: (ms) => new Promise((done) => setTimeout(done, ms)),
    signal: new AbortController().signal,
  });

test("texts are written, replaced, listed by folder and removed, for all machines", async () => {
  await withStates(30_000, async (open) => {
    const [one, other] = await Promise.all([open(), open()]);
    await one.write("untransformed/b.json", "{}");
    await one.write("untransformed/a.json", "{}");
    await one.write("untransformed_not/c.json", "{}");
    await one.write("untransformed/a.json", `{"text":"\\u0000 ✓ ' \\\\"}`);
    assert.equal(await other.read("untransformed/a.json"), `{"text":"\\u0000 ✓ ' \\\\"}`);
    assert.deepEqual(await Array.fromAsync(other.list("untransformed")), [
      "untransformed/a.json",
      "untransformed/b.json",
    ]);
    await other.remove("untransformed/a.json");
    await other.remove("untransformed/a.json");
    assert.equal(await one.read("untransformed/a.json"), undefined);
  });
});

test("of several machines one gets a lock; the others learn its holder, and get it once it is released", async () => {
  await withStates(30_000, async (open) => {
    const states = await Promise.all([open(), open(), open()]);
    const results = await Promise.allSettled(states.map((state) => take(state)));
    const taken = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
    const refused = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    assert.equal(taken.length, 1);
    for (const error of refused) {
      assert.ok(error instanceof Busy && /process \d+ on .+ holds/.test(error.message));
    }
    taken[0]![Symbol.dispose]();
    using _next = await take(states[1]!, 5_000);
  });
});

test("a working holder keeps its lock for longer than the lease", async () => {
  await withStates(300, async (open) => {
    const [one, other] = await Promise.all([open(), open()]);
    using held = await take(one);
    await assert.rejects(take(other, 1_500), Busy);
    await held.documents.write("extractor_state.json", "{}");
  });
});

test("a holder that has lost or released its lock can't change anything", async () => {
  await withStates(30_000, async (open, expire) => {
    const [one, other] = await Promise.all([open(), open()]);
    using stale = await take(one);
    await stale.documents.write("extractor_state.json", "first");
    await expire();
    using held = await take(other);
    await held.documents.write("extractor_state.json", "second");
    const { documents } = stale;
    await assert.rejects(documents.write("extractor_state.json", "late"), TransientError);
    await assert.rejects(
      documents.write("untransformed/a.json", "late"),
      /another process has taken the lock/,
    );
    await assert.rejects(documents.remove("extractor_state.json"), TransientError);
    assert.equal(await documents.read("extractor_state.json"), "second");
    assert.equal(await one.read("untransformed/a.json"), undefined);
    stale[Symbol.dispose](); // releases nothing, as it no longer holds the lock
    await assert.rejects(take(one), Busy);
    held[Symbol.dispose]();
    using _again = await take(other, 5_000);
    await assert.rejects(held.documents.write("extractor_state.json", "late"), TransientError);
  });
});
