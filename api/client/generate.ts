import { codegen } from "@graphql-codegen/core";
import * as operationTypes from "@graphql-codegen/typescript-operations";
import { buildSchema, parse } from "graphql";
import { schemaText } from "../graphql/print.ts";
import * as operations from "./operations.ts";

export async function typesText(): Promise<string> {
  const texts = Object.values(operations).filter((value): value is string => typeof value === "string");
  const text = await codegen({
    filename: "types.d.ts",
    schema: parse(schemaText()),
    schemaAst: buildSchema(schemaText()),
    documents: texts.map((text) => ({ document: parse(text) })),
    plugins: [{ operationTypes: {} }],
    pluginMap: { operationTypes },
    config: {
      avoidOptionals: { field: true, inputValue: false },
      dedupeFragments: true,
      immutableTypes: true,
      scalars: {
        ID: "string",
        Long: "number",
        DateTime: "string",
        JSON: "Readonly<Record<string, unknown>>",
      },
      skipTypename: true,
    },
  });
  return `// Made by \`deno task generate\` from api/client/operations.ts; change it there.\n\n${text}\n`;
}
