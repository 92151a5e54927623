/** Sends notifications to outside receivers. A failing receiver doesn't affect the other actors of this service. */
import type { Actor, Done, Handling } from "../../shared/actor/actor.ts";
import { backOff } from "../../shared/actor/backoff.ts";
import type { Notify } from "../../shared/contracts/notifications.ts";
import { Busy, messageOf, PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { Declined, post, type Receiver } from "./receivers.ts";
import type { NotificationState } from "../../shared/store/rows.ts";
import type { Store } from "../../shared/store/store.ts";

/** How long a notification is retried, in milliseconds since its order: a week. */
const PATIENCE_MS = 7 * 24 * 3_600_000;

/** More tries than fit into that time. */
const MAX_ATTEMPTS = 20_000;

/** How long a notification waits for another one to the same receiver, in milliseconds. */
const BUSY_MS = 300;

/** Pauses between tries at one receiver, in milliseconds. */
const PAUSES = { firstMs: 5_000, maxMs: 600_000 };

const NOBODY = { host: "nobody", key: "0".repeat(16) };

interface NotifierParts {
  readonly store: Store;
  readonly receivers: readonly Receiver[];
  readonly keys: readonly Uint8Array[];
  readonly answerWithinMs?: number | undefined;
  readonly pauses?: { readonly firstMs: number; readonly maxMs: number } | undefined;
}

/**
 * The notifier: mailbox `channel:notify`. An order without a receiver becomes one for each, and each gets a row in the
 * log of notifications. Delivery is at least once: receivers recognize repeats by `webhook-id`. A receiver gets one
 * notification at a time; while it fails, its other notifications wait without a connection. With as many instances as
 * receivers, none delays another.
 */
export function notifier(parts: NotifierParts): Actor<"channel:notify"> {
  const { store, receivers, keys, answerWithinMs, pauses = PAUSES } = parts;
  const busy = new Set<string>(); // receivers with a request under way
  // receiver -> failures, and no try before `until` (of `performance.now`)
  const failing = new Map<string, { failures: number; until: number }>();
  return {
    name: "notifier",
    mailbox: "channel:notify",
    maxAttempts: MAX_ATTEMPTS,
    async handle(order, handling): Promise<Done> {
      if (order.receiver === undefined) return await forEach(order);
      const receiver = receivers.find(({ key }) => key === order.receiver!.key);
      if (receiver === undefined) {
        const result = "not sent: it is no longer a receiver";
        await note(order, "FAILED", result, handling);
        return { outputs: [], detail: { result } };
      }
      return await send(order, receiver, handling);
    },
  };

  async function forEach(order: Notify): Promise<Done> {
    await store.noteOrder(order, receivers);
    if (receivers.length === 0 && order.notification.type === "test") await noteNobody(order);
    const { webhook_id, notification, run_id, pipeline } = order;
    return {
      outputs: receivers.map(({ host, key }) => ({
        to: "channel:notify",
        name: key,
        fields: { webhook_id, notification, run_id, pipeline, receiver: { host, key } },
      })),
      detail: {},
    };
  }

  /** Logs why a test notification was sent to no receiver. */
  async function noteNobody(order: Notify): Promise<void> {
    const of = { webhookId: order.webhook_id, key: NOBODY.key };
    const at = new Date().toISOString();
    await store.noteOrder(order, [NOBODY]);
    await store.noteTry(of, { state: "FAILED", result: "no receiver: NOTIFY_URL is unset", at });
  }

  async function send(order: Notify, receiver: Receiver, handling: Handling): Promise<Done> {
    const { key, host } = receiver;
    try {
      const waitMs = (failing.get(key)?.until ?? 0) - performance.now();
      if (waitMs > 0) {
        throw new Busy(`Notifications wait until the next try of ${host}.`, { retryAfterMs: waitMs });
      }
      if (busy.has(key)) {
        throw new Busy(`Notifications wait until ${host} has answered.`, { retryAfterMs: BUSY_MS });
      }
      busy.add(key);
      const status = await post(receiver, {
        id: order.webhook_id,
        body: JSON.stringify(order.notification),
        keys,
        signal: handling.signal,
        answerWithinMs,
      }).finally(() => busy.delete(key));
      failing.delete(key);
      const result = `HTTP ${status}`;
      await note(order, "SENT", result, handling);
      return { outputs: [], detail: { result } };
    } catch (error) {
      if (handling.signal.aborted) throw error;
      const failure = spentOr(error, order);
      if (failure instanceof Busy) throw failure;
      await note(order, failure instanceof PermanentError ? "FAILED" : "WAITING", messageOf(error), handling);
      if (failure instanceof PermanentError) throw failure;
      const afterMs = failure instanceof Declined ? 0 : backOffFrom(key);
      // an order that always fails is tried after the others that wait for the same receiver
      throw new TransientError(failure.message, {
        retryAfterMs: afterMs + backOff(handling.attempt, pauses),
      });
    }
  }

  function backOffFrom(key: string): number {
    const failures = (failing.get(key)?.failures ?? 0) + 1;
    const afterMs = backOff(failures, pauses);
    failing.set(key, { failures, until: performance.now() + afterMs });
    return afterMs;
  }

  /** A failure to write the log must not send a notification again. */
  async function note(
    order: Notify,
    state: NotificationState,
    result: string,
    { log }: Handling,
  ): Promise<void> {
    const of = { webhookId: order.webhook_id, key: order.receiver!.key };
    try {
      await store.noteTry(of, { state, result, at: new Date().toISOString() });
    } catch (error) {
      log.warning("cannot record a notification", {
        host: order.receiver!.host,
        state,
        reason: messageOf(error),
      });
    }
  }
}

function spentOr(error: unknown, { published_at }: Notify): Error {
  const age = published_at === undefined ? 0 : Date.now() - Date.parse(published_at);
  if (!(error instanceof Error) || error instanceof PermanentError || age < PATIENCE_MS) {
    return error as Error;
  }
  return new PermanentError(
    `${messageOf(error)} It was retried for a week. Look at the receiver, and replay the dead letter.`,
    { cause: error },
  );
}
