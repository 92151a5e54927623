import assert from "node:assert/strict";
import { buildSchema, parse, validate } from "graphql";
import * as operations from "./operations.ts";

Deno.test("every operation fits the schema", async () => {
  const schema = buildSchema(await Deno.readTextFile(new URL("../schema.graphql", import.meta.url)));
  const { STEER, ...named } = operations;
  const texts = [...Object.values(named), ...Object.values(STEER)];
  assert.ok(texts.length > 10);
  for (const text of texts) assert.deepEqual(validate(schema, parse(text)).map(String), [], text);
});
