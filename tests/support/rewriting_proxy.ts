/**
 * A proxy in front of a server whose answers say something else in one place, such as another version.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A running proxy. Disposing of it ends it and all its connections. */
export interface RewritingProxy extends AsyncDisposable {
  readonly port: number;
}

/** Passes everything on to `port` of this machine, and its answers back with `from` replaced by `to`, which is as long. */
export async function startRewriting(port: number, from: string, to: string): Promise<RewritingProxy> {
  if (from.length !== to.length) throw new Error(`"${to}" isn't as long as "${from}"`);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const behind = connect(port, "127.0.0.1");
    client.pipe(behind);
    behind.on("data", (bytes: Buffer) => {
      for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at);
      client.write(bytes);
    });
    for (const [one, other] of [[client, behind], [behind, client]] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.end();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
