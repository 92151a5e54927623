import { basename } from "node:path";
import type { Actor, Done } from "../shared/actor/actor.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";
import type { Delivery, LocalFile } from "./delivery/delivery.ts";
import { manifestOf } from "./manifest.ts";
import type { DeliveryRow } from "../shared/store/rows.ts";
import type { Store } from "../shared/store/store.ts";
import { planFor } from "./plan.ts";

/** How long an order waits for an unavailable server, in milliseconds: a week. */
const PATIENCE_MS = 7 * 24 * 3_600_000;

/** More tries than fit into that time, as at least 45 s pass between two of them. */
const MAX_ATTEMPTS = 20_000;

/**
 * Maximum time without progress, in milliseconds. Sending, reading back and encrypting report progress at least every
 * half megabyte, and a request is answered within 20 s.
 */
const STALL_MS = 300_000;

interface CourierParts {
  readonly store: Store;
  readonly files: Files;
  /** The delivery to a folder of the server; undefined without a server. */
  readonly deliveryTo: ((folder: string) => Delivery) | undefined;
  /** Undefined if files are delivered unencrypted. */
  readonly seal?: Seal | undefined;
}

/**
 * Encrypts a file into a folder of sealed files, with the same result each time. `onProgress` gets the number of bytes
 * done so far.
 */
export type Seal = (
  file: LocalFile,
  place: { readonly files: Files; readonly folder: string },
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
) => Promise<LocalFile>;

/** Where the encrypted files of a run are kept, so that a repeated delivery sends the same bytes. */
export function sealedFolder(files: Files, runId: string): string {
  return files.path("sealed", runId);
}

/**
 * The courier: mailbox `channel:deliver`. While the server is unavailable, the order waits in the mailbox with growing
 * pauses, and the orders of other runs are tried meanwhile. A repeated delivery sends nothing.
 */
export function courier({ store, files, deliveryTo, seal }: CourierParts): Actor<"channel:deliver"> {
  return {
    name: "courier",
    mailbox: "channel:deliver",
    phase: "DELIVERING",
    maxAttempts: MAX_ATTEMPTS,
    patienceMs: PATIENCE_MS,
    plan: ({ run_id }) => planFor(store, run_id, undefined),
    stallMs: STALL_MS,
    async handle({ run_id }, { signal, progress }): Promise<Done> {
      const run = await store.runs.byRunId(run_id);
      const loaded = (await store.runs.filesOf([run_id])).get(run_id) ?? [];
      if (run?.loaded_at == null) {
        throw new PermanentError(
          `Cannot deliver run ${run_id}: its files aren't loaded. Wait for the load, then request the delivery again.`,
        );
      }
      const delivery = await deliveryOf(store, deliveryTo, run.pipeline);
      if (delivery === undefined) return { outputs: [], detail: { state: "NOT_CONFIGURED" } };
      const earlier = (await store.runs.deliveriesOf([run_id])).get(run_id) ?? [];
      const local: LocalFile[] = [];
      for (const { kind, name, sha256, bytes, removed_at } of loaded) {
        const file = { kind, path: files.inside(name), name: basename(name), sha256, bytes };
        const sealed = removed_at === null ? undefined : sealedBefore(file, earlier);
        if (seal === undefined) local.push(file);
        else {
          const onProgress = (done: number) => progress({ done, total: bytes, unit: "bytes" });
          local.push(
            sealed ?? await seal(file, { files, folder: sealedFolder(files, run_id) }, signal, onProgress),
          );
        }
      }
      const delivered = await delivery.deliver(local, manifestOf(run, loaded), {
        signal,
        onProgress: (done, total) => progress({ done, total, unit: "bytes" }),
      });
      await store.recordDelivery(
        run_id,
        delivered.map(({ kind, name, remotePath, sha256, bytes, verified, encrypted, deliveredAt }) => ({
          kind,
          name,
          remote_path: remotePath,
          sha256,
          bytes,
          verified,
          encrypted,
          sealed_sha256: encrypted ? local.find((file) => file.kind === kind)?.sha256 : undefined,
          delivered_at: deliveredAt,
        })),
      );
      const sent = delivered.filter((file) => !file.skipped);
      return {
        outputs: [],
        detail: {
          state: "DELIVERED",
          files: delivered.length,
          sent: sent.length,
          bytes: sent.reduce((sum, file) => sum + file.bytes, 0),
        },
      };
    },
  };
}

/** Undefined if a pipeline's files aren't delivered. */
export async function deliveryOf(
  store: Store,
  deliveryTo: CourierParts["deliveryTo"],
  pipeline: string,
): Promise<Delivery | undefined> {
  const folder = (await store.records.pipelines()).get(pipeline)?.folder;
  return folder == null ? undefined : deliveryTo?.(folder);
}

/** A file that retention has removed can't be encrypted again, but its encrypted form may still be on the server. */
function sealedBefore(file: LocalFile, earlier: readonly DeliveryRow[]): LocalFile | undefined {
  const row = earlier.find(({ kind, sha256 }) => kind === file.kind && sha256 === file.sha256);
  if (row?.sealed_sha256 == null) return undefined;
  return { ...file, name: row.name, bytes: row.bytes, sha256: row.sealed_sha256, plainSha256: file.sha256 };
}
