/**
 * A line between client and server that can be cut, held and led elsewhere: a TCP relay on a port of its own.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { createServer, type Server, Socket } from "node:net";

/** Where in a request a line is cut: when half of it has arrived, or when the server has it whole and answers. */
export type Cut = "in mid-request" | "before the reply";

/** A line. Disposing of it breaks every connection. */
export class Line implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #held = false;
  #trap: Trap | undefined;

  private constructor(
    server: Server,
    /** The port that clients connect to. */
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

  /** A server's address by way of this line. */
  by(url: string): string {
    return Object.assign(new URL(url), { port: String(this.port) }).href;
  }

  /** Leads new connections to another port. */
  leadNew(target: number): void {
    this.target = target;
  }

  /** As `leadNew`, and breaks the connections that there are. */
  lead(target: number): void {
    this.leadNew(target);
    this.cut();
  }

  /** Breaks all connections at once. */
  cut(): void {
    for (const pair of this.#pairs) pair.close();
  }

  /** Lets nothing through any more, in either direction, while connections stay open. */
  hold(): void {
    this.#held = true;
    for (const { near, far } of this.#pairs) [near, far].forEach((side) => side.pause());
  }

  release(): void {
    this.#held = false;
    for (const { near, far } of this.#pairs) [near, far].forEach((side) => side.resume());
  }

  /** Breaks the connection on which the next request comes that `matches`; resolves when that has happened. */
  cutAt(matches: (request: Uint8Array) => boolean, where: Cut): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#trap = { matches, where, sprung: resolve };
    return promise;
  }

  /** Breaks the connection on which clients have sent `bytes` from now on; resolves when that has happened. */
  cutAfter(bytes: number): Promise<void> {
    let passed = 0;
    return this.cutAt((request) => (passed += request.length) >= bytes, "in mid-request");
  }

  /** Holds everything, as `hold`, when clients have sent `bytes` from now on; resolves then. */
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
    this.#trap = { matches, where: "in mid-request", sprung: resolve };
    return promise;
  }

  /** Breaks all connections, and takes no more. */
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
      if (trap.where === "in mid-request") far.write(request.subarray(0, request.length >> 1), spring);
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
