/**
 * What can be seen of a process and of its files from outside.
 *
 * @module
 */
import { kilobytesOf, openFilesOf } from "../support/processes.ts";
import type { DrillEnvironment } from "./environment.ts";

/** The most memory that a process has had so far (VmHWM), in megabytes. */
export async function memoryOf(pid: number): Promise<number> {
  return Math.round(await kilobytesOf(pid, "VmHWM") / 1024);
}

/** What a process has at this moment: resident memory in megabytes, and open files. */
export async function footprintOf(pid: number): Promise<{ megabytes: number; handles: number }> {
  const handles = await openFilesOf(pid);
  return { megabytes: await kilobytesOf(pid, "VmRSS") / 1024, handles: handles.length };
}

/** The names in the folder of raw files. */
export async function rawFiles(environment: DrillEnvironment): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(environment.path("data/raw_users")))).map(({ name }) => name)
    .sort();
}
