/**
 * What can be seen of a process and of its files from outside.
 *
 * @module
 */
import type { Stage } from "./stage.ts";

/** The most memory that a process has had so far (VmHWM), in megabytes. */
export async function memoryOf(pid: number): Promise<number> {
  return Math.round(await kilobytes(pid, "VmHWM") / 1024);
}

/** What a process has at this moment: resident memory in megabytes, and open files. */
export async function footprintOf(pid: number): Promise<{ megabytes: number; handles: number }> {
  const handles = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`));
  return { megabytes: await kilobytes(pid, "VmRSS") / 1024, handles: handles.length };
}

/** The names in the folder of raw files. */
export async function rawFiles(stage: Stage): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(stage.path("data/raw_users")))).map(({ name }) => name).sort();
}

async function kilobytes(pid: number, field: string): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
}
