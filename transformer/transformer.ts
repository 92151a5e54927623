import type { Actor, Done, Handling } from "../shared/actor/actor.ts";
import type { Phase1Complete } from "../shared/contracts/messages.ts";
import { identityOf } from "../shared/pipeline/identity.ts";
import { transformedNames } from "../shared/contracts/names.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { FileFacts, Files } from "../shared/files/files.ts";
import { keepReceipt, PHASE2, phase2Of, type Receipt, standing } from "../shared/files/receipts.ts";
import type { Lookups } from "./lookup.ts";
import { MAX_RAW_BYTES, transform } from "./transform.ts";

export interface TransformerParts {
  readonly files: Files;
  /** @throws PermanentError if a pipeline's rules or lookups can't be used. */
  feedOf(pipeline: string): Feed;
}

export interface Feed {
  readonly plan: Plan;
  readonly lookups: Lookups;
}

/**
 * The transformer: mailbox `channel:phase1_complete`, output `channel:phase2_complete`.
 *
 * Guarantee: the two files are published only once both are complete and the raw file's checksum is the announced one.
 * The same raw file gives the same names and bytes, even if the message is repeated. Announced files aren't replaced
 * while they are intact, even if lookup or rules have changed since.
 */
export function transformer({ files, feedOf }: TransformerParts): Actor<"channel:phase1_complete"> {
  return {
    name: "transformer",
    mailbox: "channel:phase1_complete",
    phase: "TRANSFORMING",
    async handle(message, handling: Handling): Promise<Done> {
      const feed = feedOf(message.pipeline);
      const { plan, lookups } = feed;
      const names = transformedNames(plan.name, message.raw_file);
      const processedFile = files.path(...names.processed);
      const kept = await standing(files, message.raw_file, processedFile, handling.signal);
      if (kept !== undefined && kept.raw.sha256 === (message.raw_sha256 ?? kept.raw.sha256)) {
        refuseMiscounted(message, kept.valid + kept.invalid);
        const { log } = handling;
        if (kept.lookup_sha256 === lookups.sha256 && kept.rules_sha256 === identityOf(plan)) {
          log.info("transformed before, the files are as they were", { raw_file: message.raw_file });
        } else {
          log.warning(
            "transformed before, with another lookup file or other rules; the files stay as they are. Start a new run to apply the present ones",
            { raw_file: message.raw_file, processed_file: processedFile },
          );
        }
        return doneOf(message, kept);
      }
      return doneOf(
        message,
        await transformed(feed, message, processedFile, files.path(...names.invalid), handling),
      );
    },
  };

  async function transformed(
    { plan, lookups }: Feed,
    message: Phase1Complete,
    processedFile: string,
    deadFile: string,
    { signal, progress, log }: Handling,
  ): Promise<Receipt> {
    await using processedPart = await files.create(processedFile);
    await using deadPart = await files.create(deadFile);
    const read = Promise.withResolvers<FileFacts>();
    const lines = files.lines(message.raw_file, {
      sha256: message.raw_sha256,
      maxLineBytes: MAX_RAW_BYTES,
      signal,
      onEnd: read.resolve,
    });
    const { valid, invalid, fields, ...report } = await transform(lines, {
      processed: processedPart,
      dead: deadPart,
      plan,
      added: lookups.added,
      progress: (done) => progress({ done, total: message.record_count, unit: "records" }),
    });
    const raw = await read.promise;
    refuseMiscounted(message, valid + invalid);
    signal.throwIfAborted();
    // another transformer may have been faster; without a receipt, files with these names are damaged or were never
    // announced
    const theirs = await standing(files, message.raw_file, processedFile, signal);
    if (theirs?.raw.sha256 === raw.sha256) return theirs;
    const processed = await processedPart.publish({ replace: true });
    const dead = await deadPart.publish({ replace: true });
    const made = { raw, processed, dead, valid, invalid, fields, report, announced: message };
    const receipt = { ...made, lookup_sha256: lookups.sha256, rules_sha256: identityOf(plan) };
    await keepReceipt(files, receipt);
    log.info("transformed", { raw_file: message.raw_file, valid, invalid });
    return receipt;
  }
}

function doneOf(message: Phase1Complete, receipt: Receipt): Done {
  const { raw, processed, dead, valid, invalid, report } = receipt;
  const { fields } = phase2Of(message, receipt);
  const { processed_file, dlq_file, raw_sha256, processed_sha256, dlq_sha256 } = fields;
  return {
    outputs: [{ to: "channel:phase2_complete", name: PHASE2, fields }],
    detail: {
      records: valid + invalid,
      valid,
      invalid,
      ...report,
      processed_file,
      dlq_file,
      raw_sha256,
      processed_sha256,
      dlq_sha256,
      raw_bytes: raw.bytes,
      processed_bytes: processed.bytes,
      dlq_bytes: dead.bytes,
    },
  };
}

function refuseMiscounted({ raw_file, record_count }: Phase1Complete, found: number): void {
  if (record_count === undefined || record_count === found) return;
  throw new PermanentError(
    `Cannot use ${raw_file}: it has ${found} records, but ${record_count} were announced. ` +
      `Put the announced file back and replay the dead letter, or start a new run.`,
  );
}
