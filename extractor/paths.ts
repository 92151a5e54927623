/**
 * Finds values in JSON bytes by path. A path is first taken as one key (`@odata.nextLink`), then as keys separated by
 * dots (`message.items`).
 */
import type { JsonBytes, ReadValue } from "../shared/files/json_bytes.ts";

/** A node of the tree of paths, by key. */
interface Node {
  readonly key: string;
  readonly isAscii: boolean;
  /** The paths that end here. */
  readonly ends: End[];
  readonly below: Node[];
}

interface End {
  readonly path: number;
  /** Whether the key is the whole path, which takes precedence over a path of several keys. */
  readonly isWhole: boolean;
}

/** Paths to find in one pass. */
export class Paths {
  readonly tree: Node[] = [];

  /** Compiles `paths`; readers number them in this order. */
  constructor(readonly paths: readonly string[]) {
    paths.forEach((text, path) => {
      add(this.tree, [text], { path, isWhole: true });
      if (text.includes(".")) add(this.tree, text.split("."), { path, isWhole: false });
    });
  }
}

function add(nodes: Node[], [key, ...steps]: readonly string[], end: End): void {
  let node = nodes.find((node) => node.key === key);
  if (node === undefined) {
    // deno-lint-ignore no-control-regex
    nodes.push(node = { key: key!, isAscii: /^[\x00-\x7f]*$/.test(key!), ends: [], below: [] });
  }
  if (steps.length === 0) node.ends.push(end);
  else add(node.below, steps, end);
}

/**
 * Parses objects, and records the positions of the paths' values. As in JSON.parse, the last of duplicate keys counts.
 */
export class PathReader {
  /** By path, the start of its value; -1 if it is missing. */
  readonly starts: number[];
  /** By path, the end of its value. */
  readonly ends: number[];
  readonly #wholes: boolean[];
  #nodes: readonly Node[];

  /** @param readFirst if the value of the first path is a list, reads it instead */
  constructor(
    private readonly json: JsonBytes,
    private readonly paths: Paths,
    private readonly readFirst?: ReadValue,
  ) {
    this.starts = paths.paths.map(() => -1);
    this.ends = this.starts.slice();
    this.#wholes = paths.paths.map(() => false);
    this.#nodes = paths.tree;
  }

  /** Reads the value at `at`, which has values at paths only if it is an object. Returns the position after it. */
  read(at: number): number {
    this.starts.fill(-1);
    if (!this.json.isObject(at)) return this.json.end(at);
    this.#wholes.fill(false);
    return this.#object(at, this.paths.tree);
  }

  /** The parsed value of `path`; for whole numbers beyond 2^53, their digits; undefined if it is missing. */
  value(path: number): unknown {
    const start = this.starts[path]!, end = this.ends[path]!;
    const value = start < 0 ? undefined : this.json.parsed(start, end);
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
    const text = this.json.text(start, end);
    return /^-?\d+$/.test(text) ? text : value;
  }

  #object(at: number, nodes: readonly Node[]): number {
    const outer = this.#nodes;
    this.#nodes = nodes;
    const end = this.json.members(at, this.#member);
    this.#nodes = outer;
    return end;
  }

  readonly #member = (key: number, keyEnd: number, at: number): number => {
    const { json } = this;
    const node = this.#nodes.find((node) =>
      node.isAscii ? json.isKey(key, keyEnd, node.key) : json.parsed(key, keyEnd) === node.key
    );
    if (node === undefined) return json.end(at);
    const isFirst = this.readFirst !== undefined && json.isList(at) &&
      node.ends.some(({ path }) => path === 0);
    const end = isFirst
      ? this.readFirst!(at)
      : node.below.length > 0 && json.isObject(at)
      ? this.#object(at, node.below)
      : json.end(at);
    for (const { path, isWhole } of node.ends) {
      if (this.#wholes[path] && !isWhole) continue;
      this.#wholes[path] = isWhole;
      this.starts[path] = at;
      this.ends[path] = end;
    }
    return end;
  };
}

/** The value at `path` of a parsed value. */
export function valueAt(value: unknown, path: string): unknown {
  const own = (at: unknown, key: string) =>
    typeof at === "object" && at !== null && Object.hasOwn(at, key)
      ? (at as Record<string, unknown>)[key]
      : undefined;
  return own(value, path) ?? path.split(".").reduce(own, value);
}
