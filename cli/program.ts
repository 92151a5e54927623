/** Starts programs, forwards their lines with a prefix, and stops them in order. */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { ReadableStream as WebStream } from "node:stream/web";

export interface Program {
  /** The prefix of each of its lines. */
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Record<string, string | undefined>;
  readonly cwd?: string;
}

export interface Running {
  readonly name: string;
  readonly pid: number;
  /** Resolves with its exit code when it has ended. */
  readonly ended: Promise<number>;
  /** Resolves with the first line of its output that `pattern` matches. @throws Error when it ends without one. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Sends SIGTERM, and SIGKILL if it hasn't ended after `graceMs` (default `GRACE_MS`); resolves when it has ended. */
  stop(graceMs?: number): Promise<number>;
}

/** Called with each line that a program writes. */
export type OnLine = (name: string, line: string) => void;

/**
 * A service finishes its work or hands it back within 8 seconds; with an unresponsive SFTP server it needs 4 more to
 * close the connection.
 */
export const GRACE_MS = 15_000;

export function start(program: Program, onLine: OnLine): Running {
  const env = Object.fromEntries(
    Object.entries(program.env).filter(([, value]) => value !== undefined),
  ) as Record<string, string>;
  const child = new Deno.Command(Deno.execPath(), {
    args: [...program.args],
    cwd: program.cwd,
    env,
    clearEnv: true,
    stdin: "piped", // open as long as this process runs: see shared/actor/parent.ts
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const wanted = new Set<
    { pattern: RegExp; found: (match: RegExpMatchArray) => void; missed: (error: Error) => void }
  >();
  const pass = async (stream: ReadableStream<Uint8Array>) => {
    for await (
      const line of createInterface({ input: Readable.fromWeb(stream as WebStream), crlfDelay: Infinity })
    ) {
      onLine(program.name, line);
      for (const want of wanted) {
        const match = line.match(want.pattern);
        if (match) {
          wanted.delete(want);
          want.found(match);
        }
      }
    }
  };
  const output = Promise.all([pass(child.stdout), pass(child.stderr)]);
  const ended = (async () => {
    const { code } = await child.status;
    await Promise.all([output, child.stdin.close().catch(() => {})]);
    for (const want of wanted) {
      want.missed(new Error(`${program.name} ended with code ${code} before it was ready.`));
    }
    wanted.clear();
    return code;
  })();
  return {
    name: program.name,
    pid: child.pid,
    ended,
    line: (pattern) =>
      new Promise((found, missed) => {
        wanted.add({ pattern, found, missed });
      }),
    async stop(graceMs = GRACE_MS) {
      kill(child, "SIGTERM");
      const timer = setTimeout(() => kill(child, "SIGKILL"), graceMs);
      try {
        return await ended;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

export function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has already ended
  }
}
