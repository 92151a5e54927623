import { posix } from "node:path";
import { TransientError } from "../../shared/errors/errors.ts";
import type {
  Ahead,
  DeliveredFile,
  DeliverOptions,
  Delivery,
  LocalFile,
  Manifest,
  Probed,
} from "./delivery.ts";
import { reach } from "./connection.ts";
import { SftpWorker } from "./sftp_worker.ts";
import { checkName, type OnMoved, PROBE, type SftpOptions } from "./session.ts";

export type { SftpOptions } from "./session.ts";

/** The maximum number of threads: enough for the two large files of a run. */
const SFTP_WORKERS = 2;
/** From this many bytes on, another thread saves more time than its start takes. */
const WORTH_A_THREAD = 8_000_000;
/** How often the folder is searched for leftovers of other processes, in milliseconds: it may hold very many files. */
const REMOVE_STALE_EVERY_MS = 24 * 3_600_000;
/** How long files sent ahead wait for their delivery, in milliseconds: ten minutes. */
const PATIENCE_MS = 600_000;

/** A delivery to an SFTP server. Between two deliveries a connection stays open only for files sent ahead. */
export function sftpDelivery(options: SftpOptions): Delivery {
  return new SftpDelivery(options);
}

/** Deliveries to folders below the server's own, each created on first use. */
export class SftpDeliveries implements AsyncDisposable {
  readonly #made = new Map<string, Delivery>();

  constructor(private readonly options: SftpOptions) {}

  /** The delivery to the relative path `folder`; `.` is the server's own folder. */
  readonly to = (folder: string): Delivery => {
    let delivery = this.#made.get(folder);
    if (delivery === undefined) {
      delivery = sftpDelivery({ ...this.options, remoteDir: posix.join(this.options.remoteDir, folder) });
      this.#made.set(folder, delivery);
    }
    return delivery;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#made.values()].map((delivery) => delivery[Symbol.asyncDispose]()));
  }
}

interface Share {
  readonly files: readonly LocalFile[];
  readonly worker: SftpWorker;
}

class SftpDelivery implements Delivery {
  readonly #ahead = new Set<SentAhead>();
  #delivering = 0;
  #staleRemovedAt = -Infinity;
  /** The last delivery failed transiently; the next one starts no thread before the server can be reached. */
  #isAway = false;
  /** Temporary files of sessions whose connection broke. */
  #leftovers: readonly string[] = [];

  constructor(private readonly options: SftpOptions) {}

  async deliver(
    files: readonly LocalFile[],
    manifest: Manifest,
    options: DeliverOptions,
  ): Promise<DeliveredFile[]> {
    for (const { name } of [...files, manifest]) checkName(name);
    if (this.#isAway) await reach(this.options, options.signal);
    try {
      const delivered = await this.#deliverAll(files, manifest, options);
      this.#isAway = false;
      return delivered;
    } catch (error) {
      this.#isAway = error instanceof TransientError;
      throw error;
    }
  }

  async #deliverAll(
    files: readonly LocalFile[],
    manifest: Manifest,
    options: DeliverOptions,
  ): Promise<DeliveredFile[]> {
    const ahead = [...this.#ahead].map((sent) => sent.take(files)).filter((share) => share !== undefined);
    // files that these sessions can't remove are recorded for the next one
    await Promise.all([...this.#ahead].map((sent) => sent.forgotten));
    this.#delivering += 1;
    try {
      if (ahead.length > 0) {
        try {
          return await this.#deliver(ahead, files, manifest, options);
        } catch (error) {
          // an idle connection may be dead; a new one shows the server's real state
          if (!(error instanceof TransientError) || options.signal.aborted) throw error;
        }
      }
      return await this.#deliver([], files, manifest, options);
    } finally {
      this.#delivering -= 1;
    }
  }

  sendAhead(files: readonly LocalFile[]): Ahead | undefined {
    if (
      this.#isAway || sumOf(files) < WORTH_A_THREAD || this.#ahead.size + this.#delivering >= SFTP_WORKERS
    ) {
      return undefined;
    }
    for (const { name } of files) checkName(name);
    const sent = new SentAhead(
      { files, worker: this.#startWorker(files) },
      (sent) => this.#ahead.delete(sent),
    );
    this.#ahead.add(sent);
    return sent;
  }

  async probe(signal: AbortSignal): Promise<Probed> {
    await using worker = this.#startWorker([PROBE]);
    const [probed] = await together([worker], signal, [worker.call("probe", undefined)]);
    return probed!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#ahead].map((sent) => sent.forget()));
  }

  async #deliver(
    ahead: readonly Share[],
    files: readonly LocalFile[],
    manifest: Manifest,
    { signal, onProgress }: DeliverOptions,
  ): Promise<DeliveredFile[]> {
    await using workers = new AsyncDisposableStack();
    for (const { worker } of ahead) workers.use(worker);
    const left = files.filter((file) => !ahead.some((share) => share.files.includes(file)));
    const shares = [...ahead];
    for (const share of sharesOf(left, ahead.length === 0)) {
      shares.push({ files: share, worker: workers.use(this.#startWorker([...share, manifest])) });
    }
    const hired = shares.map(({ worker }) => worker);

    const delivered = new Map<LocalFile, DeliveredFile>();
    const total = sumOf(files) + new TextEncoder().encode(manifest.text).length;
    let sent = 0;
    const onMoved = (bytes: number) => onProgress?.(sent += bytes, total);
    try {
      await together(
        hired,
        signal,
        shares.map(async ({ files, worker }) => {
          for (const file of files) delivered.set(file, await carry(worker, file, onMoved));
        }),
      );
      const [last] = await together(hired, signal, [hired[0]!.call("deliver", manifest)]);
      onProgress?.(total, total);
      return [...files.map((file) => delivered.get(file)!), last!];
    } catch (error) {
      await Promise.allSettled(ahead.map(({ worker }) => worker.call("unstage", undefined)));
      throw error;
    }
  }

  #startWorker(items: readonly { readonly name: string }[]): SftpWorker {
    const names = items.map(({ name }) => name);
    const removesStale = performance.now() - this.#staleRemovedAt >= REMOVE_STALE_EVERY_MS;
    const leftovers = this.#leftovers;
    this.#leftovers = [];
    return new SftpWorker(this.options, { names, leftovers, removesStale }, {
      staleRemoved: () => this.#staleRemovedAt = performance.now(),
      closed: (parts) => this.#leftovers = [...this.#leftovers, ...parts],
    });
  }
}

/** Files that are being sent ahead, or wait under temporary names, for a delivery that may never come. */
class SentAhead implements Ahead {
  readonly #timer: ReturnType<typeof setTimeout>;
  #share: Share | undefined;
  #forgotten: Promise<void> | undefined;

  constructor(share: Share, private readonly onGone: (sent: SentAhead) => void) {
    this.#share = share;
    this.#timer = setTimeout(() => void this.forget(), PATIENCE_MS);
    this.#send(share).catch(() => void this.forget()); // the delivery hits the same error, and reports it
  }

  async #send({ files, worker }: Share): Promise<void> {
    for (const file of files) if (this.#share !== undefined) await worker.call("stage", file);
  }

  /** Hands the session over to a delivery of `files`, if they include all files sent ahead. */
  take(files: readonly LocalFile[]): Share | undefined {
    const same = this.#share?.files.map((mine) => files.find((file) => isSame(file, mine)));
    if (same === undefined || !same.every((file) => file !== undefined)) return undefined;
    const { worker } = this.#release()!;
    this.onGone(this);
    return { files: same, worker };
  }

  #release(): Share | undefined {
    const share = this.#share;
    this.#share = undefined;
    clearTimeout(this.#timer);
    return share;
  }

  /** Resolves when the files are removed and the session has ended; undefined while they may be needed. */
  get forgotten(): Promise<void> | undefined {
    return this.#forgotten;
  }

  forget(): Promise<void> {
    return this.#forgotten ??= this.#remove().finally(() => this.onGone(this));
  }

  async #remove(): Promise<void> {
    await using worker = this.#release()?.worker;
    if (worker === undefined) return;
    worker.abort();
    await worker.call("unstage", undefined).catch(() => {});
  }
}

function isSame(one: LocalFile, other: LocalFile): boolean {
  return one.name === other.name && one.sha256 === other.sha256 && one.path === other.path;
}

/** A file that needn't be sent counts as sent at the end. */
async function carry(worker: SftpWorker, file: LocalFile, onMoved: OnMoved): Promise<DeliveredFile> {
  let left = file.bytes;
  const delivered = await worker.call("deliver", file, (sent, read) => {
    left -= sent;
    onMoved(sent, read);
  });
  onMoved(left, 0);
  return delivered;
}

/** Waits for all calls. The first failure, or the signal, aborts the others, and is thrown once all have ended. */
async function together<T>(
  workers: readonly SftpWorker[],
  signal: AbortSignal,
  calls: readonly Promise<T>[],
): Promise<T[]> {
  const failures: unknown[] = [];
  const giveUp = () => workers.forEach((worker) => worker.abort());
  if (signal.aborted) giveUp();
  signal.addEventListener("abort", giveUp);
  try {
    for (const call of calls) {
      call.catch((error) => {
        failures.push(error);
        giveUp();
      });
    }
    await Promise.allSettled(calls);
    signal.throwIfAborted();
    if (failures.length > 0) throw failures[0];
    return await Promise.all(calls);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Divides files among workers evenly by size. With `always` there is at least one, for the manifest. */
function sharesOf(files: readonly LocalFile[], always: boolean): LocalFile[][] {
  const shares: LocalFile[][] = sumOf(files) < WORTH_A_THREAD
    ? [[]]
    : Array.from({ length: SFTP_WORKERS }, () => []);
  for (const file of files.toSorted((a, b) => b.bytes - a.bytes)) {
    shares.sort((a, b) => sumOf(a) - sumOf(b))[0]!.push(file);
  }
  const needed = shares.filter((share) => share.length > 0);
  return needed.length === 0 && always ? [[]] : needed;
}

function sumOf(files: readonly LocalFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
