/**
 * Processes with their cost: commands that run to their end, and services that stay. Reads `/proc`, so it needs Linux.
 *
 * @module
 */
import { type Running, start } from "../../cli/program.ts";
import type { Cost } from "./measure.ts";
import { kilobytesOf, ticksOf } from "../../tests/support/processes.ts";

/** Ticks of the clock in which Linux counts CPU time, each second. */
const TICKS = 100;

/**
 * Runs a shell script to its end.
 *
 * @throws Error with what it wrote to standard error when it fails.
 */
export async function shell(script: string): Promise<Cost> {
  const { code, stderr } = await new Deno.Command("bash", {
    args: ["-c", `set -e; TIMEFORMAT="%3R %3U %3S"; time {\n${script}\n}`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  const lines = new TextDecoder().decode(stderr).trimEnd().split("\n");
  if (code !== 0) throw new Error(`Cannot run the baseline, code ${code}:\n${script}\n${lines.join("\n")}`);
  const [seconds, user, system] = lines.at(-1)!.split(" ").map(Number) as [number, number, number];
  return { seconds, cpu: user + system };
}

/** A Deno program in a process of its own. Disposing of it ends it. */
export class Program implements AsyncDisposable {
  private constructor(
    private readonly running: Running,
    /** Seconds from its start to the line that says that it is ready. */
    readonly readySeconds: number,
    /** The line that said so, as matched. */
    readonly ready: RegExpMatchArray,
  ) {}

  /**
   * Starts `args` under this Deno; resolves when a line of its output matches `ready`. `onLine` is told every line.
   *
   * @throws Error with its last lines when it ends before.
   */
  static async start(
    name: string,
    args: readonly string[],
    env: Record<string, string | undefined>,
    ready: RegExp,
    onLine: (line: string) => void = () => {},
  ): Promise<Program> {
    const began = performance.now();
    const lines: string[] = [];
    const running = start({ name, args, env }, (_, line) => {
      if (lines.push(line) > 20) lines.shift();
      onLine(line);
    });
    try {
      const match = await running.line(ready);
      return new Program(running, (performance.now() - began) / 1000, match);
    } catch (cause) {
      throw new Error(`Cannot start ${name}. Its last lines:\n${lines.join("\n")}`, { cause });
    }
  }

  /** User and system time so far, in seconds. */
  async cpu(): Promise<number> {
    return (await ticksOf(this.running.pid) ?? NaN) / TICKS;
  }

  /** Resident memory in MB (10^6 bytes): now, and at its peak. */
  async memory(): Promise<{ now: number; peak: number }> {
    const megabytes = async (field: "VmRSS" | "VmHWM") =>
      await kilobytesOf(this.running.pid, field) * 1024 / 1e6;
    return { now: await megabytes("VmRSS"), peak: await megabytes("VmHWM") };
  }

  /** The cost of `work`, which has this program do something. */
  async costOf(work: () => Promise<unknown>): Promise<Cost> {
    const cpu = await this.cpu();
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1000;
    return { seconds, cpu: await this.cpu() - cpu };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running.stop();
  }
}
