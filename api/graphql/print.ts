import { lexicographicSortSchema, printSchema } from "graphql";
import { schema } from "./schema.ts";

export function schemaText(): string {
  return `# Made by \`deno run api/graphql/print.ts\` from api/graphql; change it there.\n\n${
    printSchema(lexicographicSortSchema(schema))
  }\n`;
}
