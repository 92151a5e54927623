/**
 * What every adapter of the `Channel` port has to keep: one suite, run against each of them.
 *
 * @module
 */
import { needing, type Program } from "../support/needs.ts";
import type { Transport } from "./channel_tools.ts";
import { CLAIM_CASES } from "./claim_cases.ts";
import { MAILBOX_CASES } from "./mailbox_cases.ts";

export interface Subject {
  /** Its name, in the names of the tests. */
  readonly name: string;
  readonly needs?: readonly Program[];
  /** Makes a transport for one test. */
  start(): Promise<Transport>;
  /** Cases that can't hold for this adapter, and why. */
  readonly skip?: readonly { readonly case: string; readonly reason: string }[];
}

/** Registers a test for each case. @throws Error when `skip` names no case. */
export function testChannel(subject: Subject): void {
  const skipped = new Map(subject.skip?.map((each) => [each.case, each.reason]));
  for (const [name, run] of Object.entries({ ...CLAIM_CASES, ...MAILBOX_CASES })) {
    const reason = skipped.get(name);
    skipped.delete(name);
    const test = reason === undefined ? needing(...subject.needs ?? []) : Deno.test.ignore;
    test(`${subject.name}: ${name}${reason === undefined ? "" : ` (not here: ${reason})`}`, async () => {
      await using transport = await subject.start();
      await run(transport, await transport.open());
    });
  }
  if (skipped.size > 0) throw new Error(`There is no case "${[...skipped.keys()].join('", "')}" to skip.`);
}
