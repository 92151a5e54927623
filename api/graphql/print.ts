/**
 * Writes `api/schema.graphql` from the code; with `--check` it only says whether the file is up to date.
 *
 * @module
 */
import { lexicographicSortSchema, printSchema } from "graphql";
import { schema } from "./schema.ts";

/** The schema as text, the same each time. */
export function schemaText(): string {
  return `# Made by \`deno run api/graphql/print.ts\` from api/graphql; change it there.\n\n${
    printSchema(lexicographicSortSchema(schema))
  }\n`;
}

if (import.meta.main) {
  const file = new URL("../schema.graphql", import.meta.url);
  if (!Deno.args.includes("--check")) await Deno.writeTextFile(file, schemaText());
  else if (await Deno.readTextFile(file).catch(() => "") !== schemaText()) {
    await Deno.stderr.write(
      new TextEncoder().encode(
        "api/schema.graphql is not up to date. Run: deno run -RW=api -E=NODE_ENV api/graphql/print.ts\n",
      ),
    );
    Deno.exit(1);
  }
}
