/**
 * Complete runs, made by the real handlers: files on disk, rows in a database, copies on an SFTP server.
 *
 * @module
 */
import { usersTables } from "./store.ts";
import { getLogger } from "@logtape/logtape";
import { courier, type Seal } from "../../saver/courier.ts";
import { sftpDelivery } from "../../saver/delivery/sftp.ts";
import { saver } from "../../saver/saver.ts";
import { Users } from "../../local/source/users.ts";
import type { Handling } from "../../shared/actor/actor.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { Phase1Complete, Phase2Complete, RunEvent } from "../../shared/contracts/messages.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { openStore } from "../../shared/store/open.ts";
import type { Store } from "../../shared/store/store.ts";
import { type Lookups, readLookups } from "../../transformer/lookup.ts";
import { usersPlan } from "./users.ts";
import { transformer } from "../../transformer/transformer.ts";
import { openTemporaryChannel } from "./temporary_channel.ts";
import { type Engine, sqliteAt, type TempPlace } from "./engines.ts";
import { OPENSSH, type ServerKind, SftpStage } from "./sftp.ts";

export interface RunOptions {
  /** The time of the request and of everything else. Default: now. */
  readonly at?: number;
  /** The raw file's text. Default: 208 users, some of them invalid. */
  readonly raw?: string;
  readonly correctionOf?: string;
  /** Default true. */
  readonly deliver?: boolean;
}

export interface Made {
  readonly runId: string;
  readonly raw: string;
  readonly processed: string;
  readonly invalid: string;
}

/** The location of the database. */
type Place = Omit<TempPlace, typeof Symbol.asyncDispose>;

/** A data directory, a database, and an SFTP server with runs on it. Disposing of it ends and removes everything. */
export class Delivered implements AsyncDisposable {
  #runs = 0;

  private constructor(
    readonly sftp: SftpStage,
    readonly place: Place,
    readonly store: Store,
    readonly channel: Channel,
    /** The lookup of the transforms. */
    readonly lookup: Lookups,
    private readonly seal: Seal | undefined,
  ) {}

  /** Starts a server, without a run. Uses a SQLite database in the temporary folder, or that of `engine`. */
  static async open(
    options: { kind?: ServerKind; seal?: Seal; engine?: Engine | undefined } = {},
  ): Promise<Delivered> {
    const { engine } = options;
    const sftp = await SftpStage.open(options.kind ?? OPENSSH);
    const place = engine?.isShared ? await engine.place() : sqliteAt(`${sftp.temp}/database/data.db`);
    return new Delivered(
      sftp,
      place,
      await openStore(place.at, usersTables(["ssn"])),
      await openTemporaryChannel(),
      await readLookups(usersPlan),
      options.seal,
    );
  }

  get data(): string {
    return `${this.sftp.temp}/data`;
  }

  /** The data directory, as handlers see it. */
  get files(): LocalFiles {
    return new LocalFiles(this.data);
  }

  /** Makes a run, from its raw file to its delivery. */
  async run(
    { at = Date.now(), raw = usersText(208), correctionOf, deliver = true }: RunOptions = {},
  ): Promise<Made> {
    const runId = newRunId(at);
    const name = `records_20261124_${String(++this.#runs).padStart(6, "0")}.jsonl`;
    await using part = await this.files.create(`${this.data}/raw_users/${name}`);
    await part.write(raw);
    const { name: rawFile, sha256 } = await part.publish();
    // actors accept only relative paths; those of a test are absolute
    const phase1 = Phase1Complete.parse({
      raw_file: "data/x",
      run_id: runId,
      raw_sha256: sha256,
      source: "https://example.com/users",
      correction_of: correctionOf,
    });
    const transformed = await transformer({
      files: this.files,
      feedOf: () => ({ plan: usersPlan, lookups: this.lookup }),
    })
      .handle({ ...phase1, raw_file: rawFile }, HANDLING);
    const [output] = transformed.outputs;
    if (output?.to !== "channel:phase2_complete") throw new Error("the transformer sent nothing on");
    const { fields } = output;
    const names = { raw_file: rawFile, processed_file: fields.processed_file, dlq_file: fields.dlq_file };
    const phase2 = Phase2Complete.parse({ ...fields, raw_file: "x", processed_file: "x", dlq_file: "x" });
    await this.tell(runId, at, { type: "run_requested", requested_by: "test", correction_of: correctionOf });
    await saver(this).handle({ ...phase2, ...names }, HANDLING, phase2.run_id!);
    await this.tell(runId, at + 1, { type: "phase_completed", phase: "LOADING", detail: {} });
    if (deliver) await this.deliver(runId, at + 2);
    return { runId, raw: names.raw_file, processed: names.processed_file, invalid: names.dlq_file };
  }

  /** Delivers a run; returns the courier's events. */
  async deliver(runId: string, at: number = Date.now()): Promise<Record<string, unknown>> {
    const parts = {
      store: this.store,
      files: this.files,
      seal: this.seal,
      deliveryTo: () => sftpDelivery(this.sftp.options),
    };
    const { detail } = await courier(parts).handle({ run_id: runId }, HANDLING);
    await this.tell(runId, at, { type: "phase_completed", phase: "DELIVERING", detail });
    const time = new Date(at).toISOString();
    await this.place.change(`UPDATE deliveries SET delivered_at = '${time}' WHERE run_id = '${runId}'`);
    return detail;
  }

  /** Records an event of a run. */
  async tell(runId: string, at: number, event: Record<string, unknown>): Promise<void> {
    await this.store.record([
      RunEvent.parse({
        id: crypto.randomUUID(),
        run_id: runId,
        published_at: new Date(at).toISOString(),
        actor: "test",
        ...event,
      }),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.channel[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
    await this.sftp[Symbol.asyncDispose]();
  }
}

/** The lookup file of the tests. */
export const LOOKUP_FILE: string = new URL("../../pipelines/departments.csv", import.meta.url).pathname;

/** Returns lines of generated users, one in ten of them invalid. */
export function usersText(users: number): string {
  const all = new Users(0.1, 1);
  return Array.from({ length: users }, (_, i) => `${all.json(i)}\n`).join("");
}

const HANDLING: Handling = {
  attempt: 1,
  signal: new AbortController().signal,
  log: getLogger("test"),
  progress: () => {},
  tell: () => Promise.resolve(),
};
