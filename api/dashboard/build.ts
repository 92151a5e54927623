/**
 * Builds `api/dashboard/static/app.js`, the browser's code of the dashboard in one file. The same sources give the same
 * bytes.
 */
import { fileURLToPath } from "node:url";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The bundle's text. @throws Error when the sources can't be bundled. */
export async function bundle(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=browser", "--minify", path("web/main.tsx")],
  }).output();
  if (!success) {
    throw new Error(`Cannot bundle api/dashboard/web/main.tsx: ${new TextDecoder().decode(stderr)}`);
  }
  return `// Made by \`deno task generate\` from api/dashboard/web; change it there.\n${
    new TextDecoder().decode(stdout)
  }`;
}
