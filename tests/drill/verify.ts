/**
 * Checks that hold after every fault: each record of the source exists once in each place, no file is half
 * written, and every copy is verified.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { SourceOptions } from "../../local/source.ts";
import { Users } from "../../local/source/users.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import { LINES_PER_FILE } from "../../shared/store/rows.ts";
import { sqlText } from "../../shared/sqlite/database.ts";
import type { Outcome } from "./case.ts";
import type { DrillEnvironment } from "./environment.ts";

/** Records that are missing, and records that exist more than once. */
export type Losses = Pick<Outcome, "lost" | "twice">;

interface LoadedFile {
  readonly id: number;
  readonly kind: "raw" | "processed" | "invalid";
  readonly name: string;
  readonly sha256: string;
}

/** What to check of a run; by default everything. */
export interface Expected {
  /** The lines of the source. Default: those of the environment's source. */
  readonly source?: readonly string[];
  /** Whether files are on the SFTP server. Default true. */
  readonly delivered?: boolean;
  /** The channel, if it is no longer the pipeline's. */
  readonly channel?: Channel;
}

/**
 * Compares each run with the source, the database, the disk and the SFTP server.
 *
 * @throws AssertionError if anything other than a record is wrong.
 */
export async function verify(
  environment: DrillEnvironment,
  runIds: readonly string[],
  options: Expected = {},
): Promise<Losses> {
  const source = options.source ?? recordsOf(environment.source);
  const total = { lost: 0, twice: 0 };
  for (const runId of runIds) {
    const run = environment.run(runId);
    assert(run !== undefined, `run ${runId} isn't known`);
    assert.equal(run.status, "COMPLETED", String(run.failure_reason));
    assert.equal(run.failure_reason, null);
    assert.equal(run.delivery_state, options.delivered === false ? "NOT_CONFIGURED" : "DELIVERED");
    const files = loadedFiles(environment, runId);
    const [raw, processed, invalid] = files.map(({ lines }) => lines) as [string[], string[], string[]];
    assert.deepEqual([run.valid_count, run.invalid_count], [processed.length, invalid.length]);
    for (const found of [raw, [...processed.map(withoutCode), ...invalid.map(withoutReason)]]) {
      const { lost, twice } = difference(source, found);
      total.lost += lost;
      total.twice += twice;
    }
    for (const { name, sha256 } of files) assert.equal(await sha256Of(environment.path(name)), sha256, name);
    if (options.delivered !== false) await verifyDelivery(environment, runId, files);
  }
  assert.deepEqual(await halfFiles(environment), []);
  for (const name of Object.keys(CHANNELS)) {
    await environment.until(
      `an empty mailbox ${name}`,
      async () => (await (options.channel ?? environment.pipeline.channel).mailbox(name).state()).depth === 0,
    );
  }
  return total;
}

/** Returns the files with temporary names, in the data directory and on the SFTP server. */
export async function halfFiles(environment: DrillEnvironment): Promise<string[]> {
  const found: string[] = [];
  for (
    const folder of [
      ...["raw_users", "processed_users", "dlq"].map((name) => environment.path(`data/${name}`)),
      environment.upload,
    ]
  ) {
    for await (const { name } of Deno.readDir(folder)) {
      if (name.endsWith(".part")) found.push(`${folder}/${name}`);
    }
  }
  return found;
}

/** Asserts that the manifest exists, and that each file on the server matches the manifest and the database. */
async function verifyDelivery(
  environment: DrillEnvironment,
  runId: string,
  files: readonly LoadedFile[],
): Promise<void> {
  const manifest = await manifestOf(environment, runId);
  assert.deepEqual(
    manifest.files.map(({ name, sha256 }) => [name, sha256]).sort(),
    files.map(({ name, sha256 }) => [name.split("/").at(-1), sha256]).sort(),
  );
  for (const { name, sha256 } of manifest.files) {
    assert.equal(await sha256Of(`${environment.upload}/${name}`), sha256, name);
  }
}

async function manifestOf(
  environment: DrillEnvironment,
  runId: string,
): Promise<{ files: { name: string; sha256: string }[] }> {
  for await (const { name } of Deno.readDir(environment.upload)) {
    if (!/^manifest_.*\.json$/.test(name)) continue;
    const manifest = JSON.parse(await Deno.readTextFile(`${environment.upload}/${name}`));
    if (manifest.run_id === runId) return manifest;
  }
  throw new Error(`There is no manifest of run ${runId} on the SFTP server.`);
}

/** Returns the raw, processed and invalid file of a run and their records, as the database has them. */
function loadedFiles(environment: DrillEnvironment, runId: string): (LoadedFile & { lines: string[] })[] {
  const { pipeline } = environment;
  const files = pipeline.sql<LoadedFile>(
    `SELECT id, kind, name, sha256 FROM run_files WHERE run_id = ${sqlText(runId)}`,
  );
  return (["raw", "processed", "invalid"] as const).map((kind) => {
    const [file, ...others] = files.filter((one) => one.kind === kind);
    assert(
      file !== undefined && others.length === 0,
      `run ${runId} has ${others.length} files too many of ${kind}`,
    );
    const first = file.id * LINES_PER_FILE;
    const rows = pipeline.sql<{ json: string }>(
      `SELECT coalesce(b.json, r.json) AS json FROM ${kind}_records AS r LEFT JOIN ${kind}_records AS b ON b.id = r.same_as
       WHERE r.id BETWEEN ${first} AND ${first + LINES_PER_FILE - 1} ORDER BY r.id`,
    );
    return { ...file, lines: rows.map(({ json }) => json) };
  });
}

/** Counts the items of `wanted` that `found` lacks, and the items of `found` that are duplicate or unknown. */
export function difference(wanted: readonly string[], found: readonly string[]): Losses {
  const left = new Map<string, number>();
  for (const line of wanted) left.set(line, (left.get(line) ?? 0) + 1);
  let twice = 0;
  for (const line of found) {
    const count = left.get(line) ?? 0;
    if (count === 0) twice++;
    else left.set(line, count - 1);
  }
  return { lost: [...left.values()].reduce((sum, count) => sum + count, 0), twice };
}

/** Returns the records of a source as it sends them. */
export function recordsOf({ users = 208, bad = 0 }: SourceOptions): string[] {
  const all = new Users(bad, 1);
  return Array.from({ length: users }, (_, index) => all.json(index));
}

function withoutCode(line: string): string {
  return line.replace(/,"department_code":"[^"]*"\}$/, "}");
}

function withoutReason(line: string): string {
  const { raw_line, ...rest } = JSON.parse(line);
  if (typeof raw_line === "string" && Object.keys(rest).length === 1) return raw_line;
  return `${line.slice(0, line.lastIndexOf(',"error_reason":'))}}`;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const block of file.readable) hash.update(block);
  return hash.digest("hex");
}
