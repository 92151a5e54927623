/**
 * A channel in an SQLite file that the processes of one machine share, without a server. A message is a row from its publication until its id
 * expires; see `embedded_file.ts` for the table.
 */
import { LeaseLost, TransientError } from "../errors/errors.ts";
import { readAtEachRing, waitForClaim } from "./bell.ts";
import {
  type Beat,
  BEAT_TTL_MS,
  type Channel,
  type Claim,
  type DeadLetter,
  type Mailbox,
  type MailboxState,
  type Outgoing,
  REMEMBER_MS,
} from "./channel.ts";
import { Commits } from "./embedded_commits.ts";
import { QueueFile } from "./embedded_file.ts";

/** How often a mailbox is read without a notification: a publisher may die before it sends one. */
const POLL_MS = 1_000;
const READ_AT_ONCE = 100;
/** The most expired ids that a publication removes: more than it adds, so that short-lived processes clean up, too. */
const FORGET_AT_ONCE = 100;
/** Retried messages due further ahead than this are due now: the clock was set back. */
const CLOCK_SLACK_MS = 60_000;
/** Condition for messages that can be handed out. Parameters: now, and now plus the slack of the clock. */
const DUE = "state = 'open' AND (due_at <= ? OR (holder IS NULL AND settled_at > ?))";
/** The number of due messages that are searched for another pipeline's turn. */
const LOOK = 100;
const PIPELINE = /^"pipeline":"([a-z0-9_]+)"/;

/**
 * Opens the channel in the file at `path`, which is created with its folder if missing.
 *
 * @param callWaitMs how long a call waits for the lock, in milliseconds; default 5,000
 * @throws PermanentError if the file isn't a queue, or has a newer version; it stays unchanged.
 * @throws TransientError if another process keeps it locked.
 */
export async function openEmbeddedChannel(path: string, callWaitMs?: number): Promise<Channel> {
  return new EmbeddedChannel(path, await QueueFile.open(path, callWaitMs));
}

class EmbeddedChannel implements Channel {
  readonly #queue: Queue;
  readonly #closed = new AbortController();
  /** By mailbox and pipeline, the number of this process's last claim of such a message. */
  readonly #turns = new Map<string, number>();
  #claims = 0;

  constructor(path: string, private readonly file: QueueFile) {
    this.#queue = new Queue(file, new Commits(path, () => versionOf(file)));
  }

  async publish(...messages: Outgoing[]): Promise<void> {
    await this.#queue.write("publish", () => this.#queue.append(messages));
  }

  async publishIfIdle(mailbox: string, text: string, ...messages: Outgoing[]): Promise<boolean> {
    return await this.#queue.write("publish", () => {
      const { db } = this.file;
      const open = db.get(
        "SELECT 1 FROM messages WHERE mailbox = ? AND state = 'open' AND instr(body, ?) > 0 LIMIT 1",
        mailbox,
        new TextEncoder().encode(text),
      );
      const known = ({ to, id }: Outgoing) =>
        db.get("SELECT 1 FROM messages WHERE mailbox = ? AND id = ?", to, id) !== undefined;
      if (open !== undefined && !messages.every(known)) return false;
      this.#queue.append(messages);
      return true;
    });
  }

  async claim(name: string, options: { leaseMs: number; signal: AbortSignal }): Promise<Claim | undefined> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    return await waitForClaim(this.#queue.commits, signal, () => this.#take(name, options.leaseMs));
  }

  async watch(mailbox: string, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const action = `watch "${mailbox}"`;
    const { file } = this;
    const endOf = () =>
      file.db.get<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")?.seq ?? 0;
    let cursor = await file.read(action, endOf);
    const page =
      `SELECT seq, body FROM messages WHERE mailbox = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ${READ_AT_ONCE}`;
    const read = async () => {
      try {
        return await file.read(action, () => {
          const last = endOf();
          const rows = file.db.all<{ seq: number; body: Uint8Array }>(page, mailbox, cursor, last);
          // also skips messages of other mailboxes, which need not be read again
          cursor = rows.length === READ_AT_ONCE ? rows.at(-1)!.seq : last;
          return rows.map(({ body }) => textOf(body));
        });
      } catch (error) {
        if (error instanceof TransientError || this.#closed.signal.aborted) return [];
        throw error;
      }
    };
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    return readAtEachRing(this.#queue.commits, ended, read, POLL_MS);
  }

  mailbox(name: string): Mailbox {
    return new EmbeddedMailbox(name, this.#queue);
  }

  async beat(beat: Beat): Promise<void> {
    await this.file.write("enter a beat", () => {
      this.file.db.run(
        `INSERT INTO beats (actor, instance, at, body) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET at = excluded.at, body = excluded.body`,
        beat.actor,
        beat.instance,
        beat.at,
        JSON.stringify(beat),
      );
      this.file.db.run("DELETE FROM beats WHERE at < ?", Date.now() - BEAT_TTL_MS);
    });
  }

  async beats(): Promise<Beat[]> {
    const rows = await this.file.read(
      "read beats",
      () =>
        this.file.db.all<{ body: string }>(
          "SELECT body FROM beats WHERE at >= ? ORDER BY actor, instance",
          Date.now() - BEAT_TTL_MS,
        ),
    );
    return rows.map(({ body }) => JSON.parse(body) as Beat);
  }

  listening(): Promise<void> {
    return Promise.resolve(); // all publishers write to the file, so nothing can be missed
  }

  async ping(): Promise<undefined> {
    await this.file.read("reach the channel", () => this.file.db.get("SELECT 1 FROM paused"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#queue.commits[Symbol.asyncDispose]();
    this.file[Symbol.dispose]();
  }

  async #take(mailbox: string, leaseMs: number): Promise<Claim | number> {
    const action = `claim from "${mailbox}"`;
    const waitMs = await this.file.read(action, () => this.#waitMs(mailbox));
    if (waitMs > 0) return waitMs;
    const holder = crypto.randomUUID();
    const row = await this.file.write(action, () => {
      const now = Date.now();
      const next = this.#next(mailbox, now);
      if (next === undefined) return;
      this.#turns.set(next.turnOf, ++this.#claims);
      return this.file.db.get<Row>(
        `UPDATE messages SET attempts = attempts + 1, holder = ?, due_at = ? WHERE seq = ?
         RETURNING seq, id, body, attempts, published_at`,
        holder,
        now + leaseMs,
        next.seq,
      );
    });
    return row === undefined ? 0 : new EmbeddedClaim(this.#queue, mailbox, row, holder, leaseMs);
  }

  /** The first due message of the pipeline whose turn in this process was longest ago. */
  #next(mailbox: string, now: number): { seq: number; turnOf: string } | undefined {
    const due = this.file.db.all<{ seq: number; body: Uint8Array | null }>(
      `SELECT seq, substr(body, instr(body, CAST('"pipeline":"' AS BLOB)), 60) AS body
       FROM messages WHERE mailbox = ? AND ${DUE}
       AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.mailbox = messages.mailbox) ORDER BY seq LIMIT ${LOOK}`,
      mailbox,
      now,
      now + CLOCK_SLACK_MS,
    ).map(({ seq, body }) => ({ seq, turnOf: `${mailbox} ${PIPELINE.exec(textOf(body))?.[1] ?? ""}` }));
    const turn = (one: { turnOf: string }) => this.#turns.get(one.turnOf) ?? 0;
    return due.sort((a, b) => turn(a) - turn(b) || a.seq - b.seq)[0];
  }

  /** Milliseconds until a message may be due. Read without the lock, so that waiting consumers don't block working ones. */
  #waitMs(mailbox: string): number {
    const { db } = this.file;
    if (db.get("SELECT 1 FROM paused WHERE mailbox = ?", mailbox) !== undefined) return POLL_MS;
    const now = Date.now();
    const due = `SELECT 1 FROM messages WHERE mailbox = ? AND ${DUE} ORDER BY seq LIMIT 1`;
    if (db.get(due, mailbox, now, now + CLOCK_SLACK_MS) !== undefined) return 0;
    const next = db.get<{ due_at: number | null }>(
      "SELECT min(due_at) AS due_at FROM messages WHERE mailbox = ? AND state = 'open'",
      mailbox,
    )?.due_at;
    return Math.min(Math.max((next ?? Infinity) - now, 1), POLL_MS);
  }
}

/** The queue, shared by claims and mailboxes. */
class Queue {
  constructor(readonly file: QueueFile, readonly commits: Commits) {}

  /** Runs `work` in a transaction, then wakes all waiting consumers. Writes that don't concern them, such as beats and claims, bypass this. */
  async write<T>(action: string, work: () => T): Promise<T> {
    const result = await this.file.write(action, work);
    this.commits.ring();
    return result;
  }

  /** Appends the messages with unknown ids; must run in a transaction. */
  append(messages: readonly Outgoing[]): void {
    const now = Date.now();
    for (const { to, id, body } of messages) {
      this.file.db.run(
        `INSERT INTO messages (mailbox, id, body, due_at, published_at) VALUES (?, ?, ?, 0, ?)
         ON CONFLICT (mailbox, id) DO NOTHING`,
        to,
        id,
        new TextEncoder().encode(body),
        now,
      );
    }
    this.file.forget(now - REMEMBER_MS, FORGET_AT_ONCE);
  }
}

interface Row {
  readonly seq: number;
  readonly id: string;
  readonly body: Uint8Array;
  readonly attempts: number;
  readonly published_at: number;
}

class EmbeddedClaim implements Claim {
  readonly id: string;
  readonly body: string;
  readonly attempt: number;
  readonly publishedAt: number;
  readonly #seq: number;

  constructor(
    private readonly queue: Queue,
    private readonly mailbox: string,
    row: Row,
    private readonly holder: string,
    private readonly leaseMs: number,
  ) {
    this.#seq = row.seq;
    this.id = row.id;
    this.body = textOf(row.body);
    this.attempt = row.attempts;
    this.publishedAt = row.published_at;
  }

  async extend(): Promise<void> {
    await this.#change("renew the lease of", "due_at = ?", [Date.now() + this.leaseMs], []);
  }

  async complete(...outputs: Outgoing[]): Promise<void> {
    const change = "state = 'done', holder = NULL, settled_at = ?";
    await this.#change("complete", change, [Date.now()], outputs);
  }

  async retry(
    afterMs: number,
    reason: string,
    { asIfNew = false, outputs = [] }: { asIfNew?: boolean; outputs?: readonly Outgoing[] } = {},
  ): Promise<void> {
    const change = "holder = NULL, settled_at = ?, due_at = ?, reason = ?, attempts = attempts - ?";
    const now = Date.now();
    const values = [now, now + Math.round(afterMs), reason, asIfNew ? 1 : 0];
    await this.#change("hand back", change, values, outputs);
  }

  async bury(reason: string, ...outputs: Outgoing[]): Promise<void> {
    const change = "state = 'dead', holder = NULL, settled_at = ?, reason = ?";
    await this.#change("bury", change, [Date.now(), reason], outputs);
  }

  async #change(
    verb: string,
    assignments: string,
    values: readonly (string | number)[],
    outputs: readonly Outgoing[],
  ): Promise<void> {
    const action = `${verb} message "${this.id}" of "${this.mailbox}"`;
    await this.queue.write(action, () => {
      const update = `UPDATE messages SET ${assignments} WHERE seq = ? AND holder = ?`;
      if (this.queue.file.db.run(update, ...values, this.#seq, this.holder) === 0) {
        throw new LeaseLost(
          `Cannot ${action}: its lease ran out and it was handed to another consumer, or it is settled already. Drop the work.`,
        );
      }
      this.queue.append(outputs);
    });
  }
}

class EmbeddedMailbox implements Mailbox {
  constructor(private readonly name: string, private readonly queue: Queue) {}

  async state(): Promise<MailboxState> {
    const { file } = this.queue;
    return await file.read(`read the state of "${this.name}"`, () => {
      const { paused, oldest, ...numbers } = file.db.get<
        { depth: number; oldest: number | null; dead: number; paused: number }
      >(
        `SELECT count(*) AS depth, min(published_at) AS oldest,
           (SELECT count(*) FROM messages WHERE mailbox = ? AND state = 'dead') AS dead,
           EXISTS (SELECT 1 FROM paused WHERE mailbox = ?) AS paused
         FROM messages WHERE mailbox = ? AND state = 'open'`,
        this.name,
        this.name,
        this.name,
      )!;
      const oldestAgeMs = oldest === null ? undefined : Math.max(0, Date.now() - oldest);
      return { ...numbers, oldestAgeMs, paused: paused === 1 };
    });
  }

  async pause(): Promise<void> {
    await this.#change("pause claims of", "INSERT INTO paused (mailbox) VALUES (?) ON CONFLICT DO NOTHING");
  }

  async resume(): Promise<void> {
    await this.#change("resume claims of", "DELETE FROM paused WHERE mailbox = ?");
  }

  async dead({ limit, after }: { limit: number; after?: string }): Promise<DeadLetter[]> {
    const { file } = this.queue;
    const columns = "mailbox, id, body, reason, attempts, settled_at AS buriedAt";
    const dead = "FROM messages WHERE mailbox = ? AND state = 'dead'";
    const page = "ORDER BY settled_at DESC, seq DESC LIMIT ?";
    const before = after === undefined
      ? ""
      : `AND (settled_at, seq) < (SELECT settled_at, seq ${dead} AND id = ?)`;
    const rows = await file.read(
      `read dead letters of "${this.name}"`,
      () =>
        file.db.all<Omit<DeadLetter, "body"> & { body: Uint8Array }>(
          `SELECT ${columns} ${dead} ${before} ${page}`,
          this.name,
          ...(after === undefined ? [] : [this.name, after]),
          limit,
        ),
    );
    return rows.map((row) => ({ ...row, body: textOf(row.body) }));
  }

  async replay(id: string): Promise<boolean> {
    const { file } = this.queue;
    return await this.queue.write(`replay dead letter "${id}" of "${this.name}"`, () => {
      const letter = file.db.get<{ body: Uint8Array }>(
        "DELETE FROM messages WHERE mailbox = ? AND id = ? AND state = 'dead' RETURNING body",
        this.name,
        id,
      );
      if (letter === undefined) return false;
      this.queue.append([{ to: this.name, id, body: textOf(letter.body) }]);
      return true;
    });
  }

  async discard(id: string): Promise<boolean> {
    return await this.#change(
      `discard dead letter "${id}" of`,
      "UPDATE messages SET state = 'done', settled_at = ? WHERE mailbox = ? AND id = ? AND state = 'dead'",
      Date.now(),
      this.name,
      id,
    );
  }

  /** Runs one statement, with the mailbox's name by default, and returns whether it changed anything. */
  async #change(verb: string, sql: string, ...values: (string | number)[]): Promise<boolean> {
    const bound = values.length === 0 ? [this.name] : values;
    return await this.queue.write(`${verb} "${this.name}"`, () => this.queue.file.db.run(sql, ...bound) > 0);
  }
}

function textOf(body: Uint8Array | null): string {
  return body === null ? "" : new TextDecoder("utf-8", { ignoreBOM: true }).decode(body);
}

/** A value that changes with every commit of another connection; undefined while the file is locked or closed. */
function versionOf(file: QueueFile): unknown {
  try {
    return file.db.get<{ data_version: number }>("PRAGMA data_version")?.data_version;
  } catch {
    return undefined;
  }
}
