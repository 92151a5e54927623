import { typesText } from "../api/client/generate.ts";
import { bundle } from "../api/dashboard/build.ts";
import { schemaText } from "../api/graphql/print.ts";
import { complain, EXIT, runCommand } from "../cli/command_line.ts";
import { programPath } from "../cli/services.ts";
import { currentSchema } from "../shared/store/sqlite/migrate.ts";
import { envExample } from "./generate/env_example.ts";

/** Each file, and its wanted content. */
const FILES: Record<string, () => string | Promise<string>> = {
  "shared/store/sqlite/schema.sql": currentSchema,
  ".env.example": envExample,
  "api/schema.graphql": schemaText,
  "api/client/types.d.ts": typesText,
  "api/dashboard/static/app.js": bundle,
};

const HELP = `deno task generate [--check]

Writes ${Object.keys(FILES).join(", ")}.
  --check   writes nothing, and fails where a file isn't up to date`;

if (import.meta.main) {
  const options = { check: { type: "boolean", default: false } } as const;
  await runCommand({ help: HELP, options }, async ({ values: { check } }) => {
    let stale = 0;
    for (const [file, make] of Object.entries(FILES)) {
      const text = await make();
      const path = programPath(file);
      if (!check) await Deno.writeTextFile(path, text);
      else if (await Deno.readTextFile(path).catch(() => "") !== text) {
        complain(`${file} isn't up to date. Run: deno task generate`);
        stale += 1;
      }
    }
    return stale === 0 ? EXIT.ok : EXIT.failed;
  });
}
