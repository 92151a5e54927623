/**
 * Reads the output of child processes.
 *
 * @module
 */

/** Yields the output as text. */
export async function* textOf(output: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  for await (const bytes of output) yield decoder.decode(bytes, { stream: true });
  return undefined;
}

/** Yields the complete lines of the output. Drops an unfinished last line. */
export async function* linesOf(output: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of textOf(output)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

/**
 * Reads the log of `server` to its end, or only until it is ready. Settles `ready` at the line that says so,
 * or when the log ends without it.
 */
export async function followLog(
  server: string,
  output: ReadableStream<Uint8Array>,
  readyWords: string,
  ready: PromiseWithResolvers<void>,
  isEnough = false,
): Promise<void> {
  let log = "";
  for await (const text of textOf(output)) {
    log += text;
    if (!log.includes(readyWords)) continue;
    ready.resolve();
    if (isEnough) return;
  }
  ready.reject(new Error(`${server} ended before it was ready:\n${log}`));
}
