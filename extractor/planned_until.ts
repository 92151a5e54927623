/**
 * Where the schedule keeps the time up to which all planned runs were dealt with.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import { messageOf } from "../shared/errors/errors.ts";
import { writeAtomically } from "../shared/files/disk.ts";
import type { Files } from "../shared/files/files.ts";
import type { PlannedUntil } from "./schedule.ts";

const State = z.object({ planned_until: z.iso.datetime() });

/** Keeps it in `state/schedule.json` of the data directory for `users`, in `state/schedule/NAME.json` for others. */
export function plannedUntilIn(files: Files, pipeline: string = DEFAULT_PIPELINE): PlannedUntil {
  const path = files.path(
    "state",
    pipeline === DEFAULT_PIPELINE ? "schedule.json" : `schedule/${pipeline}.json`,
  );
  return {
    async read() {
      try {
        return Date.parse(State.parse(JSON.parse(await Deno.readTextFile(path))).planned_until);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) {
          getLogger(["etl", "extractor", "schedule"]).warning(
            "cannot read the last planned time; runs that were missed are not caught up",
            { file: path, reason: messageOf(error) },
          );
        }
        return undefined;
      }
    },
    write: (at) => writeAtomically(path, JSON.stringify({ planned_until: new Date(at).toISOString() })),
  };
}
