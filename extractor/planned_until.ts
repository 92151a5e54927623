/** Stores the time up to which the schedule has handled all planned runs. */
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import { messageOf } from "../shared/errors/errors.ts";
import type { Documents } from "../shared/files/documents.ts";
import type { PlannedUntil } from "./schedule.ts";

const State = z.object({ planned_until: z.iso.datetime() });

/** In `schedule.json` for `users`, in `schedule/NAME.json` for others. */
export function plannedUntilIn(state: Documents, pipeline: string = DEFAULT_PIPELINE): PlannedUntil {
  const name = pipeline === DEFAULT_PIPELINE ? "schedule.json" : `schedule/${pipeline}.json`;
  return {
    async read() {
      try {
        const text = await state.read(name);
        return text === undefined ? undefined : Date.parse(State.parse(JSON.parse(text)).planned_until);
      } catch (error) {
        getLogger(["etl", "extractor", "schedule"]).warning(
          "cannot read the last planned time; runs that were missed are not caught up",
          { file: state.placeOf(name), reason: messageOf(error) },
        );
        return undefined;
      }
    },
    write: (at) => state.write(name, JSON.stringify({ planned_until: new Date(at).toISOString() })),
  };
}
