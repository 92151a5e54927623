import { getLogger } from "@logtape/logtape";
import type { Claim, Outgoing } from "../channel/channel.ts";
import type { Phase } from "../contracts/messages.ts";
import { plausibleTime, stamp } from "../contracts/ids.ts";
import { messageOf } from "../errors/errors.ts";
import type { Done, Output } from "./actor.ts";
import { compose, type Fields, type Parent } from "./message.ts";
import type { ReportedRetries } from "./retries.ts";

/** The messages about one message's handling: run events for an actor that carries out a phase, and the handler's outputs. */
export class News {
  /** The parent of these messages: the claim, and (once decoded) its time and trace. */
  readonly parent: { id: string; published_at?: string; traceparent?: string };
  #runId: string | undefined;
  #pipeline: string | undefined;
  #isStarted = false;
  /** The events of each try have new ids, even if a replayed dead letter begins at attempt 1 again. */
  readonly #tryId: string = crypto.randomUUID().slice(0, 8);

  constructor(
    private readonly actor: { readonly name: string; readonly phase?: Phase },
    private readonly claim: Claim,
    private readonly instance: string,
    private readonly retries: ReportedRetries,
  ) {
    this.parent = { id: claim.id, published_at: plausibleTime(claim.publishedAt) };
  }

  /** Sets the run, if the message is about one, and the decoded message; before that there are no events. */
  about(
    runId: string | undefined,
    message: {
      published_at?: string | undefined;
      traceparent?: string | undefined;
      pipeline?: string | undefined;
    },
  ): void {
    this.#runId = runId;
    this.#pipeline = message.pipeline;
    if (message.published_at !== undefined) this.parent.published_at = message.published_at;
    this.trace(message.traceparent);
  }

  /** Later messages get a later time than `time`. */
  after(time: string | undefined): void {
    if (time !== undefined && time > (this.parent.published_at ?? "")) this.parent.published_at = time;
  }

  trace(traceparent: string | undefined): void {
    if (traceparent !== undefined) this.parent.traceparent = traceparent;
  }

  /** A name that no other try uses. */
  once(name: string): string {
    return `${name}/${this.claim.attempt}.${this.#tryId}`;
  }

  /** The id of a handler's output is the same at each try. */
  output(output: Output): Outgoing {
    return compose(output.to, output.name, output.fields, this.parent as Parent);
  }

  /** A repeated try is reported only if there is more to say than that it failed as before. */
  started(): Outgoing[] {
    return this.retries.has(this.claim.id) ? [] : this.#start();
  }

  progressed(): Outgoing[] {
    return this.#start();
  }

  ended({ detail, held }: Done): Outgoing[] {
    this.retries.forget(this.claim.id);
    const start = this.#start();
    return held === undefined
      ? [...start, ...this.#event("completed", { type: "phase_completed", detail })]
      : [...start, ...this.#event("held", { type: "run_held", reason: held, detail })];
  }

  retrying(reason: string, afterMs: number): Outgoing[] {
    const { attempt, id } = this.claim;
    if (!this.retries.isDue(id, reason)) return [];
    const retry_after_ms = Math.round(afterMs);
    return this.#event("retrying", { type: "phase_retrying", attempt, reason, retry_after_ms });
  }

  failed(
    reason: string,
    { retryable, isCancelled }: { retryable: boolean; isCancelled?: boolean },
  ): Outgoing[] {
    this.retries.forget(this.claim.id);
    const cancelled = isCancelled ? { cancelled: true } : {};
    return this.#event("failed", { type: "run_failed", reason, retryable, ...cancelled });
  }

  /** Later events get a later time, even within one millisecond. */
  #start(): Outgoing[] {
    if (this.#isStarted) return [];
    this.#isStarted = true;
    const events = this.#event("started", { type: "phase_started", attempt: this.claim.attempt });
    this.parent.published_at = stamp(this.parent.published_at);
    return events;
  }

  /** Events must never keep a message from being settled: an event that can't be composed is logged and skipped. */
  #event(name: string, fields: { type: string; [key: string]: unknown }): Outgoing[] {
    const { phase } = this.actor;
    if (phase === undefined || this.#runId === undefined) return [];
    const event = {
      ...fields,
      phase,
      run_id: this.#runId,
      actor: this.actor.name,
      instance: this.instance,
      ...(this.#pipeline === undefined ? {} : { pipeline: this.#pipeline }),
    };
    try {
      return [
        compose(
          "channel:run_events",
          this.once(name),
          event as unknown as Fields<"channel:run_events">,
          this.parent as Parent,
        ),
      ];
    } catch (error) {
      getLogger(["etl", this.actor.name]).error("news left out", {
        id: this.claim.id,
        reason: messageOf(error),
      });
      return [];
    }
  }
}
