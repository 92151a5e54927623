import assert from "node:assert/strict";
import { schemaText } from "./print.ts";

Deno.test("the committed schema is the served one", async () => {
  assert.equal(await Deno.readTextFile(new URL("../schema.graphql", import.meta.url)), schemaText());
});
