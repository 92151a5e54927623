/**
 * Compares each copy of a run's files with what was recorded at its load: on the local disk, in the database, on the
 * server.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Inspection } from "../../saver/delivery/inspect.ts";
import type { Manifest } from "../../saver/delivery/delivery.ts";
import type { FileFacts, Files } from "../../shared/files/files.ts";
import { differs, equal, type Finding, missing, skipped } from "./finding.ts";
import type { DeliveryRow, FileRow } from "../../shared/store/rows.ts";
import type { Records } from "../../shared/store/store.ts";

/** Length and SHA-256 that a copy must have. */
type Wanted = Pick<FileFacts, "bytes" | "sha256">;

export async function localCopy(files: Files, file: FileRow): Promise<Finding> {
  if (!(await files.exists(file.name))) {
    return file.removed_at === null
      ? missing(`${file.name} isn't there. Put it back from the SFTP server or a backup.`)
      : { result: "removed", detail: `${file.name} was removed by retention at ${file.removed_at}` };
  }
  const found = await files.facts(file.name);
  return same(found, file) ? equal(`${file.name}, ${inWords(file)}`) : differs(
    `${file.name} has ${inWords(found)}, but ${
      inWords(file)
    } was loaded. Put the loaded file back, from the SFTP server or a backup.`,
  );
}

/**
 * Compares the file's records in the database. Their lines give the file's bytes if each ends with a line feed, none is
 * blank and all are UTF-8. This holds for the pipeline's own files. For others, records are compared one by one with
 * the local file, if that is the loaded one.
 */
export async function databaseCopy(
  records: Records,
  file: FileRow,
  files: Files,
  local: Finding,
): Promise<Finding> {
  if (file.trimmed_at !== null) {
    const kept = file.kept ?? file.records;
    return {
      result: "removed",
      detail: `its records were removed at ${file.trimmed_at}, but for ${kept} that are needed`,
    };
  }
  const rebuilt = await rebuild(records, file);
  if (rebuilt.records !== file.records) {
    return differs(
      `${rebuilt.records} records, but ${file.records} were loaded. ${RESTORE}`,
    );
  }
  if (same(rebuilt, file)) return equal(`${file.records} records, the file's bytes`);
  if (local.result !== "equal") {
    return differs(
      `the ${file.records} records don't give the bytes that were loaded, and there is no local copy to compare them with one by one. ` +
        `Put the loaded file back from the SFTP server or a backup, and verify again.`,
    );
  }
  const line = await firstDifference(records, file, files);
  return line === undefined
    ? equal(
      `${file.records} records, one by one; the database doesn't keep the file's blank lines, line ends and byte order mark`,
    )
    : differs(`the record of line ${line} isn't the file's. ${RESTORE}`);
}

/** The remedy if records differ from the loaded ones. */
export const RESTORE = "The database was changed from outside; restore a backup of it.";

/** Compares what was recorded about a delivered file. */
export function noted(delivery: DeliveryRow | undefined, wanted: Wanted, state: string | null): Finding {
  if (delivery === undefined) {
    return state === "NOT_CONFIGURED" ? skipped("no SFTP server was configured") : missing(
      `its delivery isn't recorded (${state ?? "not begun"}). Wait, or request the delivery again.`,
    );
  }
  if (delivery.sha256 !== wanted.sha256) {
    return differs(
      `SHA-256 ${delivery.sha256} was delivered, but the run's is ${wanted.sha256}. Request the delivery again.`,
    );
  }
  const how = delivery.verified === "content" ? "content verified" : "size verified";
  return equal(`${how} at ${delivery.delivered_at}${delivery.encrypted ? ", encrypted" : ""}`);
}

/** Reads the file on the SFTP server back, and compares it. */
export async function remoteCopy(server: Inspection, delivery: DeliveryRow): Promise<Finding> {
  const { remote_path, bytes } = delivery;
  const found = await server.digest(remote_path);
  if (found === undefined) {
    return missing(`${remote_path} isn't on the SFTP server. Request the delivery again.`);
  }
  const sha256 = delivery.encrypted ? delivery.sealed_sha256 : delivery.sha256;
  if (sha256 === null) {
    return found.bytes === bytes
      ? skipped(`${remote_path} has its size; the SHA-256 of its encrypted form was not recorded`)
      : differs(changed(remote_path, `${found.bytes} bytes`, `${bytes} bytes`));
  }
  return same(found, { bytes, sha256 })
    ? equal(`${remote_path}, ${inWords(found)}${delivery.encrypted ? ", encrypted" : ""}`)
    : differs(changed(remote_path, inWords(found), inWords({ bytes, sha256 })));
}

export function factsOf({ text }: Manifest): Wanted {
  const bytes = new TextEncoder().encode(text);
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function changed(path: string, found: string, wanted: string): string {
  return `${path} on the SFTP server has ${found}, but ${wanted} was delivered. Move it away there, then request the delivery again.`;
}

async function rebuild(records: Records, file: FileRow): Promise<Wanted & { records: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  let count = 0;
  let next = 1;
  for await (const { line, text } of records.unmaskedLines(file)) {
    const lines = `${"\n".repeat(line - next)}${text}\n`;
    hash.update(lines);
    bytes += Buffer.byteLength(lines);
    next = line + 1;
    count += 1;
  }
  return { bytes, sha256: hash.digest("hex"), records: count };
}

/** The number of the first line that differs between file and database. */
async function firstDifference(records: Records, file: FileRow, files: Files): Promise<number | undefined> {
  const kept = records.unmaskedLines(file);
  for await (const { first, lines } of files.lines(file.name)) {
    for (const [i, text] of lines.entries()) {
      if (text.trim() === "") continue;
      const { value } = await kept.next();
      if (value?.line !== first + i || value.text !== text) return first + i;
    }
  }
  return (await kept.next()).value?.line;
}

function same(found: Wanted, wanted: Wanted): boolean {
  return found.bytes === wanted.bytes && found.sha256 === wanted.sha256;
}

function inWords({ bytes, sha256 }: Wanted): string {
  return `${bytes} bytes and SHA-256 ${sha256}`;
}
