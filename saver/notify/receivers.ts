/**
 * The receivers of notifications, and one POST to one of them, signed by Standard Webhooks
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 */
import { createHash, createHmac } from "node:crypto";
import type { ReceiverName } from "../../shared/contracts/notifications.ts";
import { fetchFailure, PermanentError, TransientError } from "../../shared/errors/errors.ts";

export interface Receiver extends ReceiverName {
  /** Path and query may hold a secret; they are sent to the host itself only. */
  readonly url: string;
}

/** How long a receiver may take to answer, in milliseconds. Only the status of its answer is read. */
const ANSWER_WITHIN_MS = 10_000;

/** A receiver refuses one message, but may accept others. */
export class Declined extends TransientError {
  override readonly name: string = "Declined";
}

export function receiverAt(url: string): Receiver {
  return { url, host: new URL(url).host, key: createHash("sha256").update(url).digest("hex").slice(0, 16) };
}

/**
 * The three headers of a signed message. It has a signature for each key, so that keys can be changed while both sides
 * run.
 */
export function signatureOf(
  keys: readonly Uint8Array[],
  { id, body, now }: { id: string; body: string; now: number },
): Record<string, string> {
  const timestamp = String(Math.floor(now / 1_000));
  const signed = `${id}.${timestamp}.${body}`;
  const signatures = keys.map((key) => `v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

interface Post {
  readonly id: string;
  readonly body: string;
  readonly keys: readonly Uint8Array[];
  readonly signal: AbortSignal;
  /** Default `ANSWER_WITHIN_MS`. */
  readonly answerWithinMs?: number | undefined;
}

/**
 * Sends a notification and returns the receiver's status. Follows no redirect, and reads no byte of the answer's body:
 * the connection is closed as soon as the status has arrived, or the time is up.
 *
 * @throws PermanentError when the receiver is permanently gone (410), or this process lacks permission to reach it.
 * @throws Declined when it refuses the message, TransientError when it fails or doesn't answer.
 */
export async function post(
  { url, host }: Receiver,
  { id, body, keys, signal, answerWithinMs = ANSWER_WITHIN_MS }: Post,
): Promise<number> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), answerWithinMs);
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  try {
    const response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json", ...signatureOf(keys, { id, body, now: Date.now() }) },
      body,
      client,
      signal: AbortSignal.any([signal, late.signal]),
    });
    await response.body?.cancel();
    const { status } = response;
    if (status >= 200 && status < 300) return status;
    throw refusal(host, status);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof TransientError || error instanceof PermanentError) throw error;
    if (error instanceof Deno.errors.NotCapable) {
      throw new PermanentError(
        `Cannot notify ${host}: this process lacks permission. Start it with deno task, which permits the hosts of NOTIFY_URL.`,
      );
    }
    const why = late.signal.aborted ? `no answer within ${answerWithinMs / 1_000} s` : fetchFailure(error);
    throw new TransientError(`Cannot notify ${host}: ${why}.`);
  } finally {
    clearTimeout(timer);
  }
}

function refusal(host: string, status: number): Error {
  if (status === 410) {
    return new PermanentError(
      `Cannot notify ${host}: HTTP 410, it no longer accepts notifications. Remove it from NOTIFY_URL, or replay the dead letter.`,
    );
  }
  const what = status >= 300 && status < 400
    ? `HTTP ${status}, a redirect, which isn't followed: give its final address in NOTIFY_URL`
    : `HTTP ${status}`;
  const text = `Cannot notify ${host}: ${what}.`;
  return status >= 400 && status < 500 && status !== 429 ? new Declined(text) : new TransientError(text);
}
