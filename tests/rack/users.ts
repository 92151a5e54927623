/**
 * The same sources with the definition of `users`.
 *
 * @module
 */
import type { RackCase } from "./case.ts";

/** Returns `rack` with the definition of `users`, if that matches the source: pages by offset, with a total. */
export function usersOf(rack: RackCase): RackCase[] {
  const { source, serve, fails, resumedFails } = rack;
  const { paging, records, ...more } = source;
  const isOffset = paging.by === "offset" && paging.total !== undefined && records === "items";
  if (!isOffset || Object.keys(more).length > 0) return [];
  const named = (reason: string) => reason.replaceAll("things", "users");
  return [{
    ...rack,
    name: `users: ${rack.name}`,
    pipeline: "users",
    ...fails === undefined ? {} : { fails: named(fails) },
    ...resumedFails === undefined ? {} : { resumedFails: named(resumedFails) },
    serve() {
      const answer = serve();
      const renamed: typeof answer = async (request) => {
        const response = await answer(request);
        if (response.headers.get("content-type") !== "application/json") return response;
        const { items, ...others } = await response.json();
        return Response.json({ users: items, ...others }, { status: response.status });
      };
      return Object.assign(renamed, { meanwhile: answer.meanwhile });
    },
  }];
}
