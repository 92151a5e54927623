/**
 * Observes a process and its files from outside.
 *
 * @module
 */
import { kilobytesOf, openFilesOf } from "../support/processes.ts";
import type { DrillEnvironment } from "./environment.ts";

/** Returns the peak memory of a process (VmHWM), in megabytes. */
export async function memoryOf(pid: number): Promise<number> {
  return Math.round(await kilobytesOf(pid, "VmHWM") / 1024);
}

/** Returns the current resident memory in megabytes and the number of open files. */
export async function footprintOf(pid: number): Promise<{ megabytes: number; handles: number }> {
  const handles = await openFilesOf(pid);
  return { megabytes: await kilobytesOf(pid, "VmRSS") / 1024, handles: handles.length };
}

/** Returns the names of the raw files. */
export async function rawFiles(environment: DrillEnvironment): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(environment.path("data/raw_users")))).map(({ name }) => name)
    .sort();
}
