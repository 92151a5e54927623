/**
 * What a child process writes.
 *
 * @module
 */

/** The output as text, piece by piece. */
export async function* textOf(output: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  for await (const bytes of output) yield decoder.decode(bytes, { stream: true });
  return undefined;
}

/** The output's lines, as they are completed; what follows the last line end is left out. */
export async function* linesOf(output: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of textOf(output)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

/** Reads the log of `server` to its end, or until it is ready if that is enough; settles `ready` at the words that say so, or with the log when they never come. */
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
