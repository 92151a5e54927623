/** Listens on Pub/Sub for changes of mailboxes, and for foreign messages. */
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { messageOf, PermanentError } from "../errors/errors.ts";
import { Bell } from "./bell.ts";
import { type Address, Connection, failureOf, type Subscriber, within } from "./redis_connection.ts";
import { ADOPT, KNOWS } from "./redis_scripts.ts";

/** The longest foreign message that is adopted, in bytes. */
const MAX_FOREIGN_BYTES = 1024 * 1024;
const RETRY_ADOPT_MS = 250;

/**
 * The id under which subscribers see a body: the `id` of a JSON object if it has one, otherwise derived from the bytes. All subscribers compute the
 * same id, so that a body is adopted once.
 */
export function seenAs(body: Uint8Array): string {
  if (body.byteLength <= MAX_FOREIGN_BYTES) {
    try {
      const message: unknown = JSON.parse(new TextDecoder().decode(body));
      if (typeof message === "object" && message !== null && "id" in message) {
        if (typeof message.id === "string" && message.id !== "") return message.id;
      }
    } catch {
      // not JSON: the id derives from its bytes
    }
  }
  return `sha256:${createHash("sha256").update(body).digest("hex")}`;
}

interface Subscription {
  readonly bell: Bell;
  adopts: boolean;
  /** Adopts bodies one after the other, in order of arrival. */
  adopting: Promise<void>;
  /** The connection with this subscription. */
  on: Subscriber | undefined;
  /** Whether the server has confirmed a subscription. */
  confirmed: boolean;
}

/** Listens on the Pub/Sub channels of mailboxes. Connects with the first subscription. */
export class Listener implements AsyncDisposable {
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #closed = new AbortController();
  #connection: Connection | undefined;

  /** Subscribes to nothing yet. Foreign messages are adopted with `commands`. */
  constructor(
    private readonly address: Address,
    private readonly callTimeoutMs: number,
    private readonly commands: Connection,
  ) {}

  /**
   * Listens to `mailbox` from now on; with `adopt`, foreign messages are appended to the stream. Resolves with a bell that rings at changes, once the
   * server has confirmed; immediately if the server can't be reached: the subscription then follows automatically.
   *
   * @throws PermanentError if the server refuses.
   */
  async listen(mailbox: string, { adopt }: { adopt: boolean }): Promise<Bell> {
    const subscription: Subscription = this.#subscriptions.get(mailbox) ??
      { bell: new Bell(), adopts: false, adopting: Promise.resolve(), on: undefined, confirmed: false };
    subscription.adopts ||= adopt;
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

  /** Listens to `mailbox` and adopts foreign messages; resolves once the server has confirmed, or when `signal` aborts. */
  async listening(mailbox: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const bell = await this.listen(mailbox, { adopt: true });
      const { rings } = bell;
      if (this.#subscriptions.get(mailbox)!.confirmed) return;
      await bell.wait(rings, RETRY_ADOPT_MS, signal);
    }
  }

  /** Reconnects, possibly to another server. */
  reconnect(): void {
    this.#connection?.reconnect();
  }

  /** Stops listening. Waits for bodies that are being adopted, as far as the server answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#connection?.[Symbol.asyncDispose]();
    await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.adopting));
  }

  /** Messages published while the connection was down were missed, so every reader checks again. */
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
      if (subscription.adopts) {
        subscription.adopting = subscription.adopting.then(() => this.#adopt(mailbox, body));
      }
    }, true);
    subscription.confirmed = true;
    subscription.bell.ring();
  }

  async #adopt(mailbox: string, body: Uint8Array): Promise<void> {
    const log = getLogger(["etl", "channel"]);
    const id = seenAs(body);
    const facts = { mailbox, id, bytes: body.byteLength };
    const action = `take a message from Pub/Sub channel "${mailbox}"`;
    while (true) {
      try {
        if (await this.commands.run(action, KNOWS, [mailbox], [id]) === 1) return;
        if (body.byteLength > MAX_FOREIGN_BYTES) {
          log.error("foreign message refused, it is too long", {
            ...facts,
            maxBytes: MAX_FOREIGN_BYTES,
          });
        } else if (await this.commands.run(action, ADOPT, [mailbox], [id, body]) === 1) {
          log.info("foreign message appended to the stream", facts);
        }
        return;
      } catch (error) {
        if (error instanceof PermanentError || this.#closed.signal.aborted) {
          log.error("foreign message not appended to the stream", { ...facts, reason: messageOf(error) });
          return;
        }
        await new Bell().wait(0, RETRY_ADOPT_MS, this.#closed.signal);
      }
    }
  }
}
