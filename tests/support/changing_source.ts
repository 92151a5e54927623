/**
 * The sample source with users that change between runs.
 *
 * @module
 */
import { type Handler, sampleSource } from "../../local/source.ts";

export interface ChangingSource {
  /** For the pipeline's options. */
  readonly wrap: () => Handler;
  /** Sets the number of users and the share of invalid ones. */
  has(users: number, bad?: number): void;
}

/** Creates a source of 208 users. */
export function changingSource(): ChangingSource {
  let answer = sampleSource({ users: 208 });
  return {
    wrap: () => (request) => answer(request),
    has: (users, bad = 0) => answer = sampleSource({ users, bad }),
  };
}
