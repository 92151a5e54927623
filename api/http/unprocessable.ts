/** Invalid input, answered in the shape of FastAPI's validation errors. */
import { z } from "@hono/zod-openapi";
import { jsonAnswer } from "../json.ts";

interface Misfit {
  /** The kind of error, in Pydantic's words, such as `missing`. */
  readonly type: string;
  /** The location: `body`, `query` or `path`, then keys and indexes. */
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly input: unknown;
  /** The exceeded bound, if there is one. */
  readonly ctx?: Readonly<Record<string, unknown>>;
}

export class Unprocessable extends Error {
  override readonly name = "Unprocessable";

  constructor(readonly misfits: readonly Misfit[]) {
    super("The request's input can't be used.");
  }

  answer(): Response {
    return jsonAnswer(JSON.stringify({ detail: this.misfits }), 422);
  }
}

/** A whole number in a query or path, as text. */
export function integer(
  { min, max, fallback }: { min?: number; max?: number; fallback?: number },
): z.ZodType<number> {
  const text = z.string().optional().transform((value, context) => {
    if (value === undefined && fallback !== undefined) return fallback;
    const refuse = (type: string, message: string, ctx?: Record<string, unknown>) => {
      context.addIssue({ code: "custom", message, params: { type, ctx } });
      return z.NEVER;
    };
    if (value === undefined) return refuse("missing", "Field required");
    if (!/^\s*[+-]?\d+\s*$/.test(value)) {
      return refuse(
        "int_parsing",
        "Input should be a valid integer, unable to parse string as an integer",
      );
    }
    const number = Number(value);
    if (min !== undefined && number < min) {
      return refuse("greater_than_equal", `Input should be greater than or equal to ${min}`, { ge: min });
    }
    if (max !== undefined && number > max) {
      return refuse("less_than_equal", `Input should be less than or equal to ${max}`, { le: max });
    }
    return number;
  });
  return text.openapi({
    type: "integer",
    ...(min === undefined ? {} : { minimum: min }),
    ...(max === undefined ? {} : { maximum: max }),
    ...(fallback === undefined ? {} : { default: fallback }),
  });
}

/** Validates `input` of the request's part `part`. @throws Unprocessable naming every problem. */
export function fit<T>(schema: z.ZodType<T>, part: "query" | "path" | "body", input: unknown): T {
  const read = schema.safeParse(input);
  if (read.success) return read.data;
  throw new Unprocessable(read.error.issues.map((issue) => misfitOf(issue, part, input)));
}

/**
 * Reads the request's JSON body. Only `application/json` is accepted, which other sites' pages can't send without a
 * preflight.
 */
export async function jsonBody(request: Request): Promise<unknown> {
  const text = await request.text();
  if (text === "") throw new Unprocessable([misfit(MISSING, ["body"], null)]);
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (!/^application\/([a-z.-]+\+)?json$/.test(type)) {
    throw new Unprocessable([misfit(NOT_AN_OBJECT, ["body"], text)]);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
    throw new Unprocessable([{
      type: "json_invalid",
      loc: ["body", Number(position ?? 0)],
      msg: "JSON decode error",
      input: {},
      ctx: { error: "Expecting value" },
    }]);
  }
}

const MISSING = ["missing", "Field required"] as const;
const NOT_AN_OBJECT = [
  "model_attributes_type",
  "Input should be a valid dictionary or object to extract fields from",
] as const;

function misfit(
  [type, msg]: readonly [type: string, msg: string],
  loc: Misfit["loc"],
  input: unknown,
  ctx?: Misfit["ctx"],
): Misfit {
  return { type, loc, msg, input, ...(ctx === undefined ? {} : { ctx }) };
}

function misfitOf(issue: z.core.$ZodIssue, part: string, input: unknown): Misfit {
  const path = issue.path.filter((key) => typeof key !== "symbol");
  const loc = [part, ...path];
  const at = (keys: readonly (string | number)[]) =>
    keys.reduce<unknown>(
      (value, key) => (value as Record<string | number, unknown> | undefined)?.[key],
      input,
    );
  const given = at(path);
  const around = () => at(path.slice(0, -1));
  switch (issue.code) {
    case "custom": {
      const { type = "value_error", ctx } = (issue.params ?? {}) as Partial<Misfit>;
      return misfit([type, issue.message], loc, type === "missing" ? around() : given, ctx);
    }
    case "invalid_type":
      if (path.length === 0) return misfit(NOT_AN_OBJECT, loc, given);
      if (given === undefined) return misfit(MISSING, loc, around());
      if (issue.expected === "string") {
        return misfit(["string_type", "Input should be a valid string"], loc, given);
      }
      break;
    case "too_big": {
      const most = Number(issue.maximum);
      return misfit(["string_too_long", `String should have at most ${most} characters`], loc, given, {
        max_length: most,
      });
    }
  }
  return misfit(["value_error", issue.message], loc, given);
}
