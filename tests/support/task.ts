import { programPath } from "../../cli/services.ts";

/**
 * Returns the `deno` arguments of a task, for another working directory than the project's. They suppress
 * Deno's messages about downloads.
 */
export function taskOf(name: string): string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(programPath("deno.json"))) as {
    readonly tasks: Record<string, { readonly command: string }>;
  };
  const task = tasks[name];
  if (task === undefined) throw new Error(`deno.json has no task ${name}.`);
  const [, command, ...words] = task.command.split(" ");
  return [
    command!,
    "--quiet",
    ...words.map((word) => word.endsWith(".ts") ? programPath(word) : word),
  ];
}
