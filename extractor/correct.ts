/** The records of a correction run: lines of an earlier run's dead-letter file, corrected. */
import { correctedRecord } from "../shared/pipeline/merge_patch.ts";
import type { Correction } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";

/** In ascending order. */
export function correctedLineNumbers(correction: Correction): number[] {
  return correction.patches.map((patch) => patch.line).sort((a, b) => a - b);
}

/**
 * Yields the corrected records, one for each patch, in the order of the dead-letter file. The file's checksum is
 * verified at its end only, so the caller must not publish any result before.
 *
 * @throws PermanentError when a line is missing or can't be corrected, or the file isn't the announced one.
 */
export async function* correctedRecords(
  files: Files,
  correction: Correction,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { dlq_file, dlq_sha256 } = correction;
  const patches = new Map(correction.patches.map((patch) => [patch.line, patch]));
  let lastLine = 0;
  for await (const { first, lines, flaws } of files.lines(dlq_file, { sha256: dlq_sha256, signal })) {
    for (let i = 0; i < lines.length; i++) {
      const patch = patches.get(first + i);
      if (patch === undefined) continue;
      patches.delete(patch.line);
      const flaw = flaws.get(i);
      const corrected = flaw !== undefined && patch.text === undefined
        ? { problem: `the line is ${flaw}; give its whole new text` }
        : correctedRecord(lines[i]!, patch);
      if ("problem" in corrected) {
        throw new PermanentError(
          `Cannot correct line ${patch.line} of ${dlq_file}: ${corrected.problem}. Change the patch and request the correction again.`,
        );
      }
      yield corrected.line;
    }
    lastLine = first + lines.length - 1;
  }
  const [missing] = patches.keys();
  if (missing !== undefined) {
    throw new PermanentError(
      `Cannot correct line ${missing} of ${dlq_file}: the file has ${lastLine} lines. Change the patch and request the correction again.`,
    );
  }
}
