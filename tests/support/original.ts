/**
 * The original's three services, as far as the wire goes: plain PUBLISH and SUBSCRIBE, the original's keys alone, JSON as Python writes it.
 *
 * @module
 */
import { createClient } from "redis";

/** What the original's transformer publishes. */
export interface Transformed {
  readonly raw_file: string;
  readonly processed_file: string;
  readonly dlq_file: string;
  readonly valid_count: number;
  readonly invalid_count: number;
}

/** A connection to Redis as the original's services have it. */
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

  /** SUBSCRIBE; the promise of the first message that comes from now on. */
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

/** `json.dumps`: a blank after each comma and colon, and nothing but ASCII. */
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
