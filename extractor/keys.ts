/** Refuses records that their key doesn't identify. */
import { createHash } from "node:crypto";
import type { Unfinished } from "./checkpoint.ts";
import type { RecordId } from "./ids.ts";
import { BeginAgain } from "./outdated.ts";
import type { Page } from "./page.ts";
import type { Records } from "./records.ts";
import type { Source } from "./source.ts";

/** Records of one page with one key and other texts are several records: the key doesn't identify them. */
export function refuseSharedKeys(records: Records | undefined, source: Source): void {
  if (records === undefined || source.since !== undefined) return;
  const first = new Map<RecordId, number>();
  let shared = 0;
  records.ids.forEach((id, i) => {
    if (id === undefined) return;
    const before = first.get(id);
    if (before === undefined) first.set(id, i);
    else if (!records.isSame(before, i)) shared += 1;
  });
  if (shared <= records.length / 2 || records.length < FEW) return;
  const [key] = source.recordPaths.paths;
  throw new BeginAgain(
    `Cannot tell the ${source.pipeline} of ${source.name} by ${key}: ${shared} of the ${records.length} on a page have the ${key} of another one, ` +
      `and other contents. Check the definition's key against the source, and start a run.`,
  );
}

/** A few records of a page may share a key by mistake. */
const FEW = 10;

/** After this many pages in a row without any key, no page of a source without end is known to repeat another. */
export const MAX_KEYLESS = 100;

export function refuseKeyless(page: Page, source: Source): never {
  const [key] = source.recordPaths.paths;
  throw new BeginAgain(
    `Cannot continue after page ${page.label} of ${source.name}: none of the ${source.pipeline} on ${MAX_KEYLESS} pages has a ${key}, ` +
      `so repeated pages can't be detected. Check the definition's key and records against the source, and start a run.`,
  );
}

/** Without keys, only its bytes distinguish a page from the one before. Returns their checksum. */
export function refuseSame(page: Page, lines: Uint8Array, run: Unfinished, source: Source): string {
  const sum = createHash("sha256").update(lines).digest("hex");
  if (sum !== run.last_page) return sum;
  const [key] = source.recordPaths.paths;
  throw new BeginAgain(
    `Cannot continue at page ${page.label} of ${source.name}: it equals the page before, and its ${source.pipeline} have no ${key} ` +
      `to tell them by. Check the definition's key and paging against the source, and start a run.`,
  );
}
