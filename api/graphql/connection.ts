/** Relay connections with keyset cursors: a page stays correct while rows are added. */
import { Buffer } from "node:buffer";
import type { ObjectRef } from "@pothos/core";
import * as z from "zod";
import { parsedExactly } from "../../shared/pipeline/exact_json.ts";
import { badInput, bounded, builder, type Types } from "./builder.ts";
import type { Page } from "../../shared/store/rows.ts";

export const DEFAULT_PAGE = 50;

export const MAX_PAGE = 500;

export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

export interface Connection<Node> {
  /** The rows, each with its cursor. */
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  /** The total number of rows; computed only if a client requests it. */
  readonly count?: () => Promise<number>;
}

/** The arguments of a list that is read from its start. */
export const forwardArgs = builder.args((t) => ({
  first: t.int({ description: `Rows from the start; default ${DEFAULT_PAGE}, at most ${MAX_PAGE}.` }),
  after: t.string({ description: "Only rows after this cursor." }),
}));

/** The arguments of a list that is read in either direction. */
export const pageArgs = {
  ...forwardArgs,
  ...builder.args((t) => ({
    last: t.int({ description: "Rows from the end." }),
    before: t.string({ description: "Only rows before this cursor." }),
  })),
};

const PageInfo = builder.objectRef<Connection<unknown>["pageInfo"]>("PageInfo").implement({
  description: "Whether there are rows before and after a page.",
  fields: (t) => ({
    hasNextPage: t.exposeBoolean("hasNextPage"),
    hasPreviousPage: t.exposeBoolean("hasPreviousPage"),
    startCursor: t.exposeString("startCursor", { nullable: true }),
    endCursor: t.exposeString("endCursor", { nullable: true }),
  }),
});

/** Creates the types `<Name>Connection` and `<Name>Edge` for `node`. */
export function connectionType<Node>(
  name: string,
  node: ObjectRef<Types, Node>,
  { counted = false } = {},
): ObjectRef<Types, Connection<Node>> {
  const edge = builder.objectRef<Connection<Node>["edges"][number]>(`${name}Edge`);
  edge.implement({
    description: "A row and its cursor.",
    fields: (t) => ({
      cursor: t.exposeString("cursor"),
      node: t.field({
        type: node, // the builder can't infer a node type that isn't known yet
        resolve: (row) => row.node as never,
      }),
    }),
  });
  const connection = builder.objectRef<Connection<Node>>(`${name}Connection`);
  connection.implement({
    description: "A page of a list.",
    fields: (t) => ({
      edges: t.expose("edges", { type: [edge] }),
      nodes: t.field({
        type: [node],
        description: "The rows without their cursors.",
        resolve: (page) => page.edges.map((row) => row.node),
      }),
      pageInfo: t.expose("pageInfo", { type: PageInfo }),
      ...(counted
        ? {
          totalCount: t.int({ description: "Total number of rows.", resolve: (page) => page.count?.() ?? 0 }),
        }
        : {}),
    }),
  });
  return connection;
}

interface Keyset<Node, Cursor> {
  read(page: Page<Cursor>): Promise<readonly Node[]>;
  /** The cursor of a row. */
  place(node: Node): Cursor;
  /** The shape of this list's cursors; cursors of other lists don't match. */
  readonly cursor: z.ZodType<Cursor>;
  count?(): Promise<number>;
}

/** @throws a GraphQLError for arguments that can't be used. */
export async function pageOf<Node, Cursor>(
  args: PageArgs,
  keyset: Keyset<Node, Cursor>,
): Promise<Connection<Node>> {
  if (args.first != null && args.last != null) {
    throw badInput("Cannot use both first and last. Give one of them.");
  }
  const backward = args.last != null;
  const size = bounded(backward ? "last" : "first", args.last ?? args.first ?? DEFAULT_PAGE, 0, MAX_PAGE);
  const found = await keyset.read({
    limit: size + 1,
    after: args.after == null ? undefined : decodeCursor("after", args.after, keyset.cursor),
    before: args.before == null ? undefined : decodeCursor("before", args.before, keyset.cursor),
    from: backward ? "end" : "start",
  });
  const more = found.length > size;
  const rows = backward ? found.slice(more ? 1 : 0) : found.slice(0, size);
  const edges = rows.map((node) => ({ cursor: encodeCursor(keyset.place(node)), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: backward ? args.before != null : more,
      hasPreviousPage: backward ? more : args.after != null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    ...(keyset.count === undefined ? {} : { count: () => keyset.count!() }),
  };
}

/** Encodes a cursor as opaque text. */
export function encodeCursor(place: unknown): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/** @throws a GraphQLError for anything but a cursor of the list. */
export function decodeCursor<Cursor>(argument: string, cursor: string, places: z.ZodType<Cursor>): Cursor {
  const { data, success } = places.safeParse(parsedExactly(Buffer.from(cursor, "base64url").toString()));
  if (success) return data;
  throw badInput(
    `Cannot use ${argument}: ${
      JSON.stringify(cursor.slice(0, 50))
    } is no cursor of this list. Take endCursor or startCursor of one of its pages.`,
  );
}
