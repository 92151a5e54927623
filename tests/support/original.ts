/**
 * The original's three services on the wire: plain PUBLISH and SUBSCRIBE, only the original's keys, JSON as
 * Python writes it.
 *
 * @module
 */
import { createClient } from "redis";

/** The message of the original's transformer. */
export interface Transformed {
  readonly raw_file: string;
  readonly processed_file: string;
  readonly dlq_file: string;
  readonly valid_count: number;
  readonly invalid_count: number;
}

/** A Redis connection as the original's services use it. */
export class Original implements AsyncDisposable {
  readonly #publisher;
  readonly #subscriber;

  private constructor(url: string) {
    this.#publisher = createClient({ url, maintNotifications: "disabled" });
    this.#subscriber = createClient({ url, maintNotifications: "disabled" });
  }

  static async at(url: string): Promise<Original> {
    const original = new Original(url);
    await original.#publisher.connect();
    await original.#subscriber.connect();
    return original;
  }

  async publish(channel: string, message: object): Promise<void> {
    await this.#publisher.publish(channel, pythonJson(message));
  }

  /** Subscribes to a channel. `first` resolves with the first message from then on. */
  async subscribed(channel: string): Promise<{ first: Promise<Record<string, unknown>> }> {
    const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>();
    await this.#subscriber.subscribe(channel, (text) => resolve(JSON.parse(text)));
    return { first: promise };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscriber.close();
    await this.#publisher.close();
  }
}

/** Writes JSON as Python's `json.dumps` does: a space after each comma and colon, ASCII only. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${
      Object.entries(value).map(([key, member]) => `${pythonJson(key)}: ${pythonJson(member)}`).join(", ")
    }}`;
  }
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
