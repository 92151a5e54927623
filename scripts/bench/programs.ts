/**
 * Programs and their cost: commands that run to their end, and services that keep running. Reads `/proc`, so it needs
 * Linux.
 */
import { start } from "../../cli/program.ts";
import { pause } from "../../shared/actor/backoff.ts";
import { childrenOf, kilobytesOf, ticksOf } from "../../tests/support/processes.ts";
import type { Cost } from "./measure.ts";

/** Runs a shell script to its end. @throws Error with what it wrote to standard error when it fails. */
export async function shell(script: string): Promise<Cost> {
  const { code, stderr } = await new Deno.Command("bash", {
    args: ["-c", `set -e; TIMEFORMAT="%3R %3U %3S"; time {\n${script}\n}`],
    stdin: "null",
    stdout: "null",
  }).output();
  const lines = new TextDecoder().decode(stderr).trimEnd().split("\n");
  if (code !== 0) throw new Error(`Cannot run the baseline, code ${code}:\n${script}\n${lines.join("\n")}`);
  const [seconds, user, system] = lines.at(-1)!.split(" ").map(Number) as [number, number, number];
  return { seconds, cpu: user + system };
}

/** A Deno program in a separate process. Disposing of it ends it. */
export interface Program extends AsyncDisposable {
  /** Seconds from its start to the line that reports that it is ready. */
  readonly readySeconds: number;
  /** The match of that line. */
  readonly ready: RegExpMatchArray;
  /** User and system time so far, in seconds. */
  cpu(): Promise<number>;
  /** Resident memory in MB (10^6 bytes): now, and at its peak. */
  memory(): Promise<{ now: number; peak: number }>;
  /**
   * The greatest proportional set size of the process and its descendants, in MB, until `signal`; sampled every 300 ms.
   */
  peakPss(signal: AbortSignal): Promise<number>;
}

/** Starts `args` under this Deno; resolves when a line matches `ready`. @throws Error with its last lines when it ends before. */
export async function startProgram(
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
  const match = await running.line(ready).catch((cause) => {
    throw new Error(`Cannot start ${name}. Its last lines:\n${lines.join("\n")}`, { cause });
  });
  const megabytes = async (field: "VmRSS" | "VmHWM") => await kilobytesOf(running.pid, field) * 1024 / 1e6;
  return {
    readySeconds: (performance.now() - began) / 1000,
    ready: match,
    cpu: async () => (await ticksOf(running.pid) ?? NaN) / 100,
    memory: async () => ({ now: await megabytes("VmRSS"), peak: await megabytes("VmHWM") }),
    peakPss: async (signal) => {
      let peak = 0;
      for (; !signal.aborted; await pause(300, signal)) peak = Math.max(peak, await pssOf([running.pid]));
      return peak;
    },
    [Symbol.asyncDispose]: async () => void await running.stop(),
  };
}

/** Proportional set size of processes and their descendants, in MB (10^6 bytes). */
export async function pssOf(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map(async (pid) => {
    const args = ["-n", "s/^Pss: *//p", `/proc/${pid}/smaps_rollup`];
    const { stdout } = await new Deno.Command("sed", { args, stderr: "null" }).output();
    const own = (parseInt(new TextDecoder().decode(stdout)) || 0) * 1024 / 1e6; // 0: the process has ended
    return own + await pssOf(await childrenOf(pid));
  }));
  return each.reduce((sum, mb) => sum + mb, 0);
}
