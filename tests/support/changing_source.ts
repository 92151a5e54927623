/**
 * The sample source, whose users may become more, fewer or worse between runs.
 *
 * @module
 */
import { type Handler, sampleSource } from "../../local/source.ts";

/** A sample source that changes. */
export interface ChangingSource {
  /** To be given to the pipeline's options. */
  readonly wrap: () => Handler;
  /** What it has from now on. */
  has(users: number, bad?: number): void;
}

/** Makes a source of 208 users. */
export function changingSource(): ChangingSource {
  let answer = sampleSource({ users: 208 });
  return {
    wrap: () => (request) => answer(request),
    has: (users, bad = 0) => answer = sampleSource({ users, bad }),
  };
}
