/**
 * The test suite that every adapter of the `Channel` port has to pass.
 *
 * @module
 */
import { needing, type Program } from "../support/needs.ts";
import type { Transport } from "./channel_tools.ts";
import { CLAIM_CASES } from "./claim_cases.ts";
import { MAILBOX_CASES } from "./mailbox_cases.ts";

export interface Subject {
  /** Part of the names of the tests. */
  readonly name: string;
  readonly needs?: readonly Program[];
  /** Creates a transport for one test. */
  start(): Promise<Transport>;
}

/** Registers a test for each case. */
export function testChannel({ name, needs = [], start }: Subject): void {
  const test = needing(...needs);
  for (const [promise, run] of Object.entries({ ...CLAIM_CASES, ...MAILBOX_CASES })) {
    test(`${name}: ${promise}`, async () => {
      await using transport = await start();
      await run(transport, await transport.open());
    });
  }
}
