/**
 * Writes `shared/store/sqlite/schema.sql`: what all migrations lead to, for people to read and for a diff to show. With `--check` it writes nothing
 * and fails where the file isn't up to date.
 *
 * @module
 */
import { currentSchema } from "../../shared/store/sqlite/migrate.ts";

if (import.meta.main) {
  const file = new URL("../../shared/store/sqlite/schema.sql", import.meta.url);
  const wanted = await currentSchema();
  if (!Deno.args.includes("--check")) await Deno.writeTextFile(file, wanted);
  else if (await Deno.readTextFile(file) !== wanted) {
    const text =
      "shared/store/sqlite/schema.sql isn't what the migrations lead to. Run: deno run -RW scripts/generate/schema.ts\n";
    await Deno.stderr.write(new TextEncoder().encode(text));
    Deno.exit(1);
  }
}
