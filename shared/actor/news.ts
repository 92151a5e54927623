/**
 * What is told of a message while it is handled.
 *
 * @module
 */
import type { Claim, Outgoing } from "../channel/channel.ts";
import type { Detail, Phase } from "../contracts/messages.ts";
import type { Output } from "./actor.ts";
import { compose, type Fields, type Parent } from "./message.ts";

/** Turns what happens to one message into messages: run events for an actor that carries out a phase, and the handler's outputs. */
export class News {
  /** What the messages follow from: the claim, and (once decoded) its time and trace. */
  readonly parent: { id: string; published_at?: string; traceparent?: string };
  #runId: string | undefined;
  /** News of each try is its own, also when a dead letter is replayed and its attempts begin at 1 again. */
  readonly #tryId: string = crypto.randomUUID().slice(0, 8);

  /** News of one try at `claim`, told in the name of an instance of `actor`. */
  constructor(
    private readonly actor: { readonly name: string; readonly phase?: Phase },
    private readonly claim: Claim,
    private readonly instance: string,
  ) {
    this.parent = { id: claim.id, published_at: new Date(claim.publishedAt).toISOString() };
  }

  /** The run, and the message that was decoded; until then nothing is told. */
  about(
    runId: string,
    message: { published_at?: string | undefined; traceparent?: string | undefined },
  ): void {
    this.#runId = runId;
    if (message.published_at !== undefined) this.parent.published_at = message.published_at;
    this.trace(message.traceparent);
  }

  /** The trace that all that follows belongs to. */
  trace(traceparent: string | undefined): void {
    if (traceparent !== undefined) this.parent.traceparent = traceparent;
  }

  /** A name that no other try uses. */
  once(name: string): string {
    return `${name}/${this.claim.attempt}.${this.#tryId}`;
  }

  /** A result of the handler. Its id is the same at each try. */
  output(output: Output): Outgoing {
    return compose(output.to, output.name, output.fields, this.parent as Parent);
  }

  /** The try has begun. */
  started(): Outgoing[] {
    const told = this.#event("started", {
      type: "phase_started",
      attempt: this.claim.attempt,
    });
    this.#moveOn();
    return told;
  }

  /** The phase is done. */
  completed(detail: Detail): Outgoing[] {
    return this.#event("completed", { type: "phase_completed", detail });
  }

  /** The try has failed, another follows. */
  retrying(reason: string, afterMs: number): Outgoing[] {
    const { attempt } = this.claim;
    return this.#event("retrying", {
      type: "phase_retrying",
      attempt,
      reason,
      retry_after_ms: Math.round(afterMs),
    });
  }

  /** The message is given up, and with it the run. */
  failed(reason: string, retryable: boolean): Outgoing[] {
    return this.#event("failed", { type: "run_failed", reason, retryable });
  }

  /** What comes later has to be told with a later time, also within one millisecond. */
  #moveOn(): void {
    this.parent.published_at = new Date(
      Math.max(Date.now(), Date.parse(this.parent.published_at ?? "") + 1 || 0),
    ).toISOString();
  }

  #event(name: string, fields: { type: string; [key: string]: unknown }): Outgoing[] {
    const { phase } = this.actor;
    if (phase === undefined || this.#runId === undefined) return [];
    const event = { ...fields, phase, run_id: this.#runId, actor: this.actor.name, instance: this.instance };
    return [
      compose(
        "channel:run_events",
        this.once(name),
        event as unknown as Fields<"channel:run_events">,
        this.parent as Parent,
      ),
    ];
  }
}
