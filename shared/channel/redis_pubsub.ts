/** What Pub/Sub tells: that there is news in a mailbox, and messages of programs that know nothing of streams. */
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { messageOf, PermanentError } from "../errors/errors.ts";
import { Bell } from "./bell.ts";
import { type Address, Connection, failureOf, type Subscriber, within } from "./redis_connection.ts";
import { KNOWS, TAKE_IN } from "./redis_scripts.ts";

/** Longest body that is taken in from Pub/Sub, in bytes. */
const MAX_FOREIGN_BYTES = 1024 * 1024;
const RETRY_TAKE_MS = 250;

/**
 * The id under which a subscriber sees a body: the `id` of a JSON object that has one, else derived from the bytes. All subscribers see the
 * same one, so that a body is taken into the stream once.
 */
export function seenAs(body: Uint8Array): string {
  if (body.byteLength <= MAX_FOREIGN_BYTES) {
    try {
      const message: unknown = JSON.parse(new TextDecoder().decode(body));
      if (typeof message === "object" && message !== null && "id" in message) {
        if (typeof message.id === "string" && message.id !== "") return message.id;
      }
    } catch {
      // No JSON: it is known by its bytes.
    }
  }
  return `sha256:${createHash("sha256").update(body).digest("hex")}`;
}

interface Subscription {
  readonly bell: Bell;
  takesIn: boolean;
  /** Bodies are taken in one after the other, in the order in which they came. */
  taking: Promise<void>;
  /** The connection that is subscribed for it. */
  on: Subscriber | undefined;
  /** Whether the server has confirmed a subscription. */
  confirmed: boolean;
}

/** Listens on the Pub/Sub channels of mailboxes. The connection is made when the first mailbox is listened to. */
export class Listener implements AsyncDisposable {
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #closed = new AbortController();
  #connection: Connection | undefined;

  /** Listens to nothing yet. Bodies are taken in by way of `commands`. */
  constructor(
    private readonly address: Address,
    private readonly callTimeoutMs: number,
    private readonly commands: Connection,
  ) {}

  /**
   * Listens to `mailbox` from now on; with `takeIn`, bodies that the stream doesn't know are appended to it. Resolves with a bell that rings
   * at news, once the server listens; at once when it is away: listening then begins by itself.
   *
   * @throws PermanentError when the server refuses.
   */
  async listen(mailbox: string, { takeIn }: { takeIn: boolean }): Promise<Bell> {
    const subscription: Subscription = this.#subscriptions.get(mailbox) ??
      { bell: new Bell(), takesIn: false, taking: Promise.resolve(), on: undefined, confirmed: false };
    subscription.takesIn ||= takeIn;
    this.#subscriptions.set(mailbox, subscription);
    this.#connection ??= new Connection(
      this.address,
      "listener",
      this.callTimeoutMs,
      (subscriber) => this.#begin(subscriber),
    );
    const { subscriber } = this.#connection;
    if (subscriber !== undefined && subscription.on !== subscriber) {
      try {
        const subscribed = this.#subscribe(subscriber, mailbox, subscription);
        await within(this.callTimeoutMs, subscribed, this.#closed.signal);
      } catch (error) {
        subscription.on = undefined;
        const failure = failureOf(`listen to "${mailbox}"`, this.address, error);
        if (failure instanceof PermanentError) throw failure;
      }
    }
    return subscription.bell;
  }

  /** Listens to `mailbox` and takes in what the stream doesn't know; resolves once the server has confirmed that, or when `signal` aborts. */
  async listening(mailbox: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const bell = await this.listen(mailbox, { takeIn: true });
      const { rings } = bell;
      if (this.#subscriptions.get(mailbox)!.confirmed) return;
      await bell.wait(rings, RETRY_TAKE_MS, signal);
    }
  }

  /** Makes the connection again, which may lead to another server. */
  reconnect(): void {
    this.#connection?.reconnect();
  }

  /** Stops listening; bodies that are being taken in are taken in first, as far as the server answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#connection?.[Symbol.asyncDispose]();
    await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.taking));
  }

  /** What was published while the connection was down is unknown: every reader looks again. */
  async #begin(subscriber: Subscriber): Promise<void> {
    for (const [mailbox, subscription] of this.#subscriptions) {
      await this.#subscribe(subscriber, mailbox, subscription);
    }
    for (const subscription of this.#subscriptions.values()) subscription.bell.ring();
  }

  async #subscribe(subscriber: Subscriber, mailbox: string, subscription: Subscription): Promise<void> {
    subscription.on = subscriber;
    await subscriber.subscribe(`${mailbox}:wake`, () => subscription.bell.ring(), true);
    await subscriber.subscribe(mailbox, (body: Uint8Array) => {
      subscription.bell.ring();
      if (subscription.takesIn) {
        subscription.taking = subscription.taking.then(() => this.#takeIn(mailbox, body));
      }
    }, true);
    subscription.confirmed = true;
    subscription.bell.ring();
  }

  async #takeIn(mailbox: string, body: Uint8Array): Promise<void> {
    const log = getLogger(["etl", "channel"]);
    const id = seenAs(body);
    const facts = { mailbox, id, bytes: body.byteLength };
    const action = `take a message from Pub/Sub channel "${mailbox}"`;
    while (true) {
      try {
        if (await this.commands.run(action, KNOWS, [mailbox], [id]) === 1) return;
        if (body.byteLength > MAX_FOREIGN_BYTES) {
          log.error("message from Pub/Sub refused, it is too long", {
            ...facts,
            maxBytes: MAX_FOREIGN_BYTES,
          });
        } else if (await this.commands.run(action, TAKE_IN, [mailbox], [id, body]) === 1) {
          log.info("message from Pub/Sub taken into the stream", facts);
        }
        return;
      } catch (error) {
        if (error instanceof PermanentError || this.#closed.signal.aborted) {
          log.error("message from Pub/Sub not taken in", { ...facts, reason: messageOf(error) });
          return;
        }
        await new Bell().wait(0, RETRY_TAKE_MS, this.#closed.signal);
      }
    }
  }
}
