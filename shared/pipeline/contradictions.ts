/**
 * Members of a source that are valid individually, but contradict each other, or would complete a run with missing
 * records.
 */
import type { SourceDefinition } from "./definition.ts";
import { shown } from "./problems.ts";
import type { Mistake } from "./supported.ts";

/** Headers and parameters that carry secrets. */
const SECRET_HEADER = /^(proxy-)?authorization$|^cookie$|api-?key|secret|[-_](token|auth)$/i;
const SECRET_PARAMETER = /^(api_?key|(access_?|auth_?)?token|client_?secret|password|secret|signature)$/i;

/** Other characters make a request fail before it is sent. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Status codes by which a source refuses the request; they don't mean an empty list. */
const REFUSALS = new Set([401, 403, 407, 408, 421, 425, 429]);

/** Names of flags that say the opposite of `more`. */
const END_FLAG =
  /^(?!!|.*(not|more)).*?(^|[._])(is_?)?(at_?)?(last|done|end|ended|complete|completed|finished)(_?page)?$/i;

/** Besides numbers, only moments of this form can be shifted. */
const TIME = /^\d{4}-\d\d-\d\d([T ]|$)/;

export function contradictions(source: SourceDefinition): Mistake[] {
  const found: Mistake[] = [];
  const say: Say = (text, ...path) => {
    found.push({ path, text });
  };
  lookForSecrets(source, say);
  lookAtHeaders(source, say);
  lookAtParameters(source, say);
  lookAtSince(source, say);
  const { paging, concurrency = 1 } = source;
  const isCounted = paging.by === "offset" && paging.total !== undefined ||
    paging.by === "page" && (paging.pages ?? paging.total) !== undefined;
  if (concurrency > 1 && !isCounted) {
    say(
      `${concurrency}: only offset and page with a total can ask for several pages at once: wanted 1`,
      "concurrency",
    );
  }
  const more = "more" in paging ? paging.more ?? "" : "";
  if (END_FLAG.test(more)) {
    say(`${shown(more)}: is true at the end by its name: wanted ${shown(`!${more}`)}`, "paging", "more");
  }
  for (const [at, status] of (source.empty ?? []).entries()) {
    if (status !== 204 && (status < 400 || status > 499 || REFUSALS.has(status))) {
      say(`${status}: is no answer about the list: wanted 204, or such as 404 or 410`, "empty", at);
    }
  }
  for (const [at, origin] of (source.origins ?? []).entries()) {
    const { origin: whole, href, hostname } = new URL(origin);
    if (href !== `${whole}/` || hostname.includes("*")) {
      say(`${shown(origin)}: wanted scheme and host alone, such as https://cdn.example.org`, "origins", at);
    }
  }
  return found;
}

type Say = (text: string, ...path: PropertyKey[]) => void;

/** The secrets in an address that the definition contains; an address from the environment may contain some. */
export function secretsIn(address: string): string[] {
  const { username, password, searchParams } = new URL(address);
  const found = [...new Set(searchParams.keys())].filter((name) => SECRET_PARAMETER.test(name))
    .map((name) => `its parameter ${shown(name)} ${IN_QUERY}`);
  if (username || password) {
    found.push('holds a user or a password: wanted auth: { basic: [user, secret("NAME")] }');
  }
  return found;
}

const IN_QUERY = 'looks like a secret: wanted auth: { query, value: secret("NAME") }';

function lookForSecrets({ headers = {}, query = {} }: SourceDefinition, say: Say) {
  for (const name of Object.keys(headers)) {
    if (!SECRET_HEADER.test(name)) continue;
    say('looks like a secret: wanted auth: { header, value: secret("NAME") }', "headers", name);
  }
  for (const name of Object.keys(query)) if (SECRET_PARAMETER.test(name)) say(IN_QUERY, "query", name);
}

function lookAtHeaders({ auth, headers = {} }: SourceDefinition, say: Say) {
  const own = auth !== undefined && "header" in auth ? auth.header.toLowerCase() : undefined;
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name)) say("wanted a header's name", "headers", name);
    else if (!HEADER_VALUE.test(value)) say(`${shown(value)}: wanted one line of Latin-1`, "headers", name);
    else if (name.toLowerCase() === own) say("is set by auth too: leave it out here", "headers", name);
  }
}

/** No two of query, paging, since and auth may set the same parameter: one of the values would be lost. */
function lookAtParameters({ query = {}, paging, since, auth }: SourceDefinition, say: Say) {
  const taken = new Map<string, string>(); // parameter -> the member that sets it
  const take = (by: string, parameter: string, ...path: PropertyKey[]) => {
    const other = taken.get(parameter);
    if (other === undefined) taken.set(parameter, by);
    else say(`${shown(parameter)}: is set by ${other} too: wanted one of the two`, ...path);
  };
  if (paging.by === "offset") {
    take("paging", paging.offset, "paging", "offset");
    take("paging", paging.limit, "paging", "limit");
  } else if (paging.by === "page") {
    take("paging", paging.page, "paging", "page");
    if (paging.size !== undefined) take("paging", paging.size[0], "paging", "size");
  } else if ("param" in paging) take("paging", paging.param, "paging", "param");
  for (const part of ["send", "until"] as const) {
    for (const name of Object.keys(since?.[part] ?? {})) take("since", name, "since", part, name);
  }
  if (auth !== undefined && "query" in auth) take("auth", auth.query, "auth", "query");
  for (const name of Object.keys(query)) take("query", name, "query", name);
}

function lookAtSince({ since }: SourceDefinition, say: Say) {
  if (since === undefined) return;
  for (const part of ["send", "until"] as const) {
    const sent = Object.values(since[part] ?? {});
    if (since[part] !== undefined && !sent.some((text) => text.includes("{}"))) {
      say('wanted "{}" in one of its values, in the place of the time', "since", part);
    }
  }
  const { from, window, overlap, until } = since;
  if (window !== undefined && until === undefined) {
    say("wanted until too: what ends a window", "since", "window");
  }
  if (window === undefined && until !== undefined) {
    say("wanted window too: until is the end of a window", "since", "until");
  }
  const isMeasured = (window ?? overlap) !== undefined;
  if (isMeasured && typeof from === "string" && !TIME.test(from)) {
    say(`${shown(from)}: wanted a time such as 2026-01-01T00:00:00Z, or a number`, "since", "from");
  }
}
