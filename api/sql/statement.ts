/** Analyses a statement before SQLite does: it must be a single SELECT, and must not reuse a view's name. */
import { SqlRefused } from "./errors.ts";

export const MAX_SQL_LENGTH = 100_000;

/** A word or quoted name (in lower case), or a symbol. */
interface Token {
  readonly kind: "word" | "quoted" | "sign";
  readonly text: string;
}

/** Whether the statement is a SELECT, or a WITH that leads to one. */
export function startsAsSelect(sql: string): boolean {
  const [first, ...rest] = tokensOf(sql);
  if (!isWord(first)) return false;
  if (first.text === "select") return true;
  if (first.text !== "with") return false;
  let depth = 0;
  for (const token of rest) {
    if (token.text === "(" && token.kind === "sign") depth++;
    else if (token.text === ")" && token.kind === "sign") depth--;
    else if (depth === 0 && isWord(token) && LEADING.has(token.text)) return token.text === "select";
  }
  return false;
}

/**
 * The statement without its terminator. A common table expression with the name of one of `views` is renamed with
 * `suffix`: SQLite reports its name to the authorizer like a view's, so everything read inside it would appear to be
 * read by the view.
 *
 * @throws SqlRefused in four cases. More than blanks and comments follows the statement. Such a name can't be
 * distinguished from a text. One of `tables` is named with its schema, as SQLite then reports `count(*)` as it does for
 * a view over the table. The statement has parameters, as SQLite allows nearly any character in their names.
 */
export function singleSelect(
  sql: string,
  views: ReadonlySet<string>,
  tables: ReadonlySet<string>,
  suffix: string,
): string {
  if (sql.includes("\0")) throw new SqlRefused("the statement holds a NUL character.");
  const tokens = [...scan(sql)];
  const end = tokens.findIndex(({ token }) => token.kind === "sign" && token.text === ";");
  if (end >= 0 && tokens.slice(end).some(({ token }) => token.text !== ";" || token.kind !== "sign")) {
    throw new SqlRefused("You can only execute one statement at a time.");
  }
  tokens.forEach(({ token }, at) => {
    if (token.kind === "sign") {
      if (PARAMETER.has(token.text)) {
        const name = `${token.text}${token.text === "?" ? "1" : "name"}`;
        throw new SqlRefused(`parameters such as ${name} have no value here; write the value instead.`);
      }
      return;
    }
    if (tables.has(token.text) && tokens[at - 1]?.token.text === ".") {
      throw new SqlRefused(`access to ${token.text} is prohibited; read the views ${[...views].join(", ")}.`);
    }
  });
  const select = end < 0 ? sql : sql.slice(0, tokens[end]!.start);
  const renamed = withNames(select, borrowed(tokens.map(({ token }) => token), views), suffix);
  const [taken] = borrowed(tokensOf(renamed), views);
  if (taken === undefined) return renamed;
  throw new SqlRefused(`the name ${taken} is taken; give the common table expression another one.`);
}

/** The names of `views` that common table expressions use. */
function borrowed(tokens: readonly Token[], views: ReadonlySet<string>): Set<string> {
  const isDefined = (at: number) => {
    const next = tokens.slice(at + 1, at + 5).map(({ text }) => text);
    return next[0] === "(" ||
      /^as (not )?(materialized )?\($/.test(next.slice(0, next.indexOf("(") + 1).join(" "));
  };
  return new Set(
    tokens.flatMap(({ kind, text }, at) => kind !== "sign" && views.has(text) && isDefined(at) ? [text] : []),
  );
}

/** The statement with `suffix` after each of `names`, except in texts. */
function withNames(sql: string, names: ReadonlySet<string>, suffix: string): string {
  let renamed = "";
  let done = 0;
  for (const { token, start, end } of scan(sql)) {
    if (!names.has(token.text) || sql[start] === "'") continue;
    const at = token.kind === "word" ? end : end - 1;
    renamed += sql.slice(done, at) + suffix;
    done = at;
  }
  return renamed + sql.slice(done);
}

/** Symbols that begin a parameter. */
const PARAMETER = new Set(["?", "$", "@", "#", ":"]);

/** Statements that may follow a WITH. */
const LEADING = new Set(["select", "values", "insert", "update", "delete", "replace"]);

const TOKEN = new RegExp(
  [
    "[\\s\\uFEFF]+", // blanks
    "--[^\\n]*", // comment to the end of the line
    "/\\*[\\s\\S]*?(?:\\*/|$)", // comment
    "(?<string>'(?:[^']|'')*'?)",
    '(?<double>"(?:[^"]|"")*"?)',
    "(?<tick>`(?:[^`]|``)*`?)",
    "(?<bracket>\\[[^\\]]*\\]?)",
    "(?<word>[A-Za-z_\\u0080-\\uFFFF][\\w$\\u0080-\\uFFFF]*)",
    "(?<sign>[\\s\\S])",
  ].join("|"),
  "y",
);

function* scan(sql: string): Generator<{ token: Token; start: number; end: number }> {
  const pattern = new RegExp(TOKEN);
  for (let start = 0; start < sql.length; start = pattern.lastIndex) {
    pattern.lastIndex = start;
    const groups = pattern.exec(sql)!.groups!;
    const quoted = groups.string ?? groups.double ?? groups.tick ?? groups.bracket;
    const token: Token | undefined = groups.word !== undefined
      ? { kind: "word", text: groups.word.toLowerCase() }
      : quoted !== undefined
      ? { kind: "quoted", text: unquote(quoted) }
      : groups.sign !== undefined
      ? { kind: "sign", text: groups.sign }
      : undefined;
    if (token !== undefined) yield { token, start, end: pattern.lastIndex };
  }
}

function tokensOf(sql: string): Token[] {
  return [...scan(sql)].map(({ token }) => token);
}

function isWord(token: Token | undefined): token is Token {
  return token?.kind === "word";
}

function unquote(quoted: string): string {
  const open = quoted[0]!;
  const inner = quoted.slice(1, -1);
  return (open === "[" ? inner : inner.replaceAll(open + open, open)).toLowerCase();
}
