/**
 * Tools for tests of the store.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { openSqlite, type SqliteStore } from "../../shared/store/sqlite/open.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { FileKind } from "../../shared/contracts/names.ts";
import { usersPlan } from "./users.ts";
import { type Defined, shownOf } from "../../shared/store/shown.ts";
import type { Store } from "../../shared/store/store.ts";
import type { LineSource } from "../../shared/store/writes.ts";

/** A store in a temporary folder. Disposing of it removes the folder. */
export interface TempStore extends AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  readonly store: SqliteStore;
}

/** Returns the tables of `users` with the masked fields `masked`. */
export function usersTables(masked: readonly string[]): Defined[] {
  return [shownOf(usersPlan, masked)];
}

export async function tempStore(maskFields: readonly string[] = []): Promise<TempStore> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/database/data.db`;
  const store = await openSqlite(path, { pipelines: usersTables(maskFields) });
  return {
    folder,
    path,
    store,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Loads texts as the lines of a run's file. */
export async function loadTexts(
  store: Store,
  runId: string,
  kind: FileKind,
  texts: string[],
): Promise<void> {
  await store.loadFile({ runId, pipeline: "users", kind, name: `data/${kind}.jsonl` }, linesOf(texts));
}

/** Loads a run without files; its delivery is pending. */
export async function loadedRun(store: Store): Promise<string> {
  const run = { runId: newRunId(), pipeline: "users", at: new Date().toISOString() };
  await store.announceRun(run);
  await store.markLoaded({
    ...run,
    rawFile: "data/raw_users/a.jsonl",
    processedFile: "data/processed_users/a.jsonl",
    dlqFile: "data/dlq/a.jsonl",
    validCount: 1,
    invalidCount: 0,
  });
  return run.runId;
}

/** Returns texts as the lines of a file. */
export function linesOf(texts: string[], size = 100): LineSource {
  return async function* (onEnd) {
    for (let at = 0; at < texts.length; at += size) {
      yield await Promise.resolve({ first: at + 1, lines: texts.slice(at, at + size), flaws: new Map() });
    }
    const whole = texts.map((text) => `${text}\n`).join("");
    onEnd({
      name: "data/lines.jsonl",
      bytes: whole.length,
      sha256: createHash("sha256").update(whole).digest("hex"),
    });
  };
}

/** A child process that runs until it ends or is killed. */
export interface Child extends AsyncDisposable {
  /** Resolves once the program has written `text`. @throws Error if it ends before. */
  printed(text: string): Promise<void>;
  release(): Promise<void>;
  /** Sends SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Waits until it ends; returns its exit code. */
  ended(): Promise<number>;
}

/** Runs `code`, in which `store` is the folder of the store, as in `await import(store + "open.ts")`. */
export function startChild(code: string): Child {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--quiet",
      `const store = ${
        JSON.stringify(new URL("../../shared/store/sqlite/", import.meta.url).href)
      };\n${code}`,
    ],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  const ended = async () => {
    while (!(await output.read()).done);
    await process.stdin.close().catch(() => {});
    return (await process.status).code;
  };
  const kill = async () => {
    try {
      process.kill("SIGKILL");
    } catch {
      // it has already ended
    }
    await ended();
  };
  return {
    async printed(text) {
      while (!seen.includes(text)) {
        const { value, done } = await output.read();
        if (done) {
          throw new Error(
            `The program ended without printing ${JSON.stringify(text)}; it printed ${JSON.stringify(seen)}.`,
          );
        }
        seen += value;
      }
    },
    release: () => process.stdin.close(),
    kill,
    ended,
    [Symbol.asyncDispose]: kill,
  };
}
