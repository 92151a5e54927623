/**
 * Information from Linux about other processes. Deno lets only a program with all permissions read `/proc`,
 * so `cat` and `find` read it.
 *
 * @module
 */

/** Returns the text of `/proc/PID/FILE`; empty if the process is gone. */
export function procOf(pid: number, file: "stat" | "status" | "cmdline"): Promise<string> {
  return outputOf("cat", `/proc/${pid}/${file}`);
}

/** Returns the running child processes of `pid`. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await outputOf("sh", "-c", `cat /proc/${pid}/task/*/children`);
  return text.split(/\s+/).filter((word) => word !== "").map(Number);
}

/** Returns the processes whose working directory is `folder`, whatever their parent. */
export async function workingIn(folder: string): Promise<number[]> {
  const cwds = await outputOf("find", "/proc", "-maxdepth", "2", "-name", "cwd", "-lname", `${folder}*`);
  return linesOf(cwds).map((path) => Number(path.split("/")[2]));
}

/** Returns the targets of a process's open files. */
export async function openFilesOf(pid: number): Promise<string[]> {
  return linesOf(await outputOf("find", `/proc/${pid}/fd`, "-printf", "%l\\n"));
}

/** Returns whether a process runs. A zombie doesn't. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await procOf(pid, "stat");
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** Returns the processor time of a process in ticks of 10 ms; undefined if it is gone. */
export async function ticksOf(pid: number): Promise<number | undefined> {
  const stat = await procOf(pid, "stat");
  if (stat === "") return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Returns a field of `/proc/PID/status` in kilobytes, such as `VmRSS`; NaN if the process is gone. */
export async function kilobytesOf(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(await procOf(pid, "status"))?.[1]);
}

async function outputOf(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args, stdin: "null", stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
