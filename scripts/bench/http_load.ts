/** Load on an HTTP server: persistent connections that each send the next request when they have the last answer. */

export interface BenchRequest {
  readonly path: string;
  /** Sent by POST as JSON, if given. */
  readonly body?: unknown;
}

/**
 * Sends requests on `connections` connections for `seconds`; returns the latency of each answer, in milliseconds.
 *
 * @throws Error for any answer but 200.
 */
export async function loadOn(port: number, request: BenchRequest, connections: number, seconds: number) {
  const bytes = new TextEncoder().encode(textOf(request));
  const latencies: number[] = [];
  const began = performance.now();
  const end = began + seconds * 1000;
  await Promise.all(Array.from({ length: connections }, async () => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const answers = new Answers(connection);
    while (performance.now() < end) {
      const sent = performance.now();
      await connection.write(bytes);
      await answers.next();
      latencies.push(performance.now() - sent);
    }
  }));
  return { perSecond: latencies.length / ((performance.now() - began) / 1000), latencies };
}

function textOf({ path, body }: BenchRequest): string {
  if (body === undefined) return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const json = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`;
}

/** The answers on a connection, delimited by `Content-Length` or by the last chunk; their content is discarded. */
class Answers {
  readonly #buffer = new Uint8Array(1 << 18);

  constructor(private readonly connection: Deno.TcpConn) {}

  async next(): Promise<void> {
    let head = "";
    let bodyRead = 0;
    for (;;) {
      const read = await this.connection.read(this.#buffer);
      if (read === null) {
        throw new Error(`Cannot measure: the server closed the connection after ${JSON.stringify(head)}.`);
      }
      const end = this.#buffer.subarray(0, read);
      if (!head.includes("\r\n\r\n")) {
        head += LATIN.decode(end);
        const at = head.indexOf("\r\n\r\n");
        if (at < 0) continue;
        if (!head.startsWith("HTTP/1.1 200")) {
          throw new Error(`Cannot measure: the server answered ${head.slice(0, 500)}`);
        }
        bodyRead = head.length - at - 4;
      } else bodyRead += read;
      const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
      if (length === undefined ? endsInLastChunk(end) : bodyRead >= Number(length)) return;
    }
  }
}

const LATIN = new TextDecoder("latin1");
const LAST_CHUNK = [48, 13, 10, 13, 10];

function endsInLastChunk(bytes: Uint8Array): boolean {
  const from = bytes.length - LAST_CHUNK.length;
  return from >= 0 && LAST_CHUNK.every((byte, at) => bytes[from + at] === byte);
}
