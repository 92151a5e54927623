/**
 * A line between client and server that can be cut, held and redirected: a TCP relay on a separate port.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { createServer, type Server, Socket } from "node:net";

/** Where a request is cut: after half of it has arrived, or once the server has all of it and responds. */
export type Cut = "during the request" | "before the reply";

/** Disposing of a line breaks every connection. */
export class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #held = false;
  #trap: Trap | undefined;

  private constructor(
    server: Server,
    /** The port for clients. */
    readonly port: number,
    private target: number,
    private readonly change: (reply: Buffer) => void,
  ) {
    this.#server = server;
    server.on("connection", (near: Socket) => this.#relay(near));
  }

  /** Opens a line to `target`, a port of this machine. `change` may change the bytes of a reply. */
  static async to(target: number, change: (reply: Buffer) => void = () => {}): Promise<Line> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Line(server, (server.address() as { port: number }).port, target, change);
  }

  /** Returns a server's address through this line. */
  by(url: string): string {
    return Object.assign(new URL(url), { port: String(this.port) }).href;
  }

  /** Redirects new connections to another port. */
  leadNew(target: number): void {
    this.target = target;
  }

  /** As `leadNew`, and breaks the existing connections. */
  lead(target: number): void {
    this.leadNew(target);
    this.cut();
  }

  cut(): void {
    for (const pair of this.#pairs) pair.close();
  }

  /** Stops all traffic in both directions while connections stay open. */
  hold(): void {
    this.#held = true;
    for (const { near, far } of this.#pairs) [near, far].forEach((side) => side.pause());
  }

  release(): void {
    this.#held = false;
    for (const { near, far } of this.#pairs) [near, far].forEach((side) => side.resume());
  }

  /** Breaks the connection of the next request that `matches`; resolves once that has happened. */
  cutAt(matches: (request: Uint8Array) => boolean, where: Cut): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#trap = { matches, where, sprung: resolve };
    return promise;
  }

  /** Breaks the connection once clients have sent `bytes` from now on; resolves then. */
  cutAfter(bytes: number): Promise<void> {
    let passed = 0;
    return this.cutAt((request) => (passed += request.length) >= bytes, "during the request");
  }

  /** Stops all traffic, as `hold`, once clients have sent `bytes` from now on; resolves then. */
  holdAfter(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let passed = 0;
    const matches = (request: Uint8Array) => {
      if ((passed += request.length) < bytes) return false;
      this.#trap = undefined;
      this.hold();
      resolve();
      return false;
    };
    this.#trap = { matches, where: "during the request", sprung: resolve };
    return promise;
  }

  /** Breaks all connections and stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #relay(near: Socket): void {
    const far = new Socket();
    const pair: Pair = {
      near,
      far,
      close: () => {
        this.#pairs.delete(pair);
        near.destroy();
        far.destroy();
      },
    };
    this.#pairs.add(pair);
    for (const side of [near, far]) {
      side.setNoDelay(true);
      side.on("error", pair.close);
      side.on("close", pair.close);
    }
    let answered: (() => void) | undefined;
    near.on("data", (request: Uint8Array) => {
      const trap = this.#trap;
      if (trap === undefined || !trap.matches(request)) return void far.write(request);
      this.#trap = undefined;
      const spring = () => {
        pair.close();
        trap.sprung();
      };
      if (trap.where === "during the request") far.write(request.subarray(0, request.length >> 1), spring);
      else {
        answered = spring;
        far.write(request);
      }
    });
    far.on("data", (reply: Buffer) => {
      if (answered !== undefined) return answered();
      this.change(reply);
      near.write(reply);
    });
    far.connect(this.target, "127.0.0.1");
    if (this.#held) [near, far].forEach((side) => side.pause());
  }
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  close(): void;
}

interface Trap {
  readonly matches: (request: Uint8Array) => boolean;
  readonly where: Cut;
  readonly sprung: () => void;
}
