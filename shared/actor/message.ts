/** Converts fields to a validated message, and back. Messages are validated only here, on send and on receive. */
import { z } from "zod";
import type { Outgoing } from "../channel/channel.ts";
import { type ChannelName, CHANNELS, type MessageOn } from "../contracts/channels.ts";
import { childId, stamp } from "../contracts/ids.ts";
import { PermanentError } from "../errors/errors.ts";

/** What a message inherits from its parent. */
export interface Parent {
  readonly id: string;
  readonly published_at?: string | undefined;
  readonly traceparent?: string | undefined;
}

/** The fields of a message on channel `C` that its sender must provide; `compose` adds the envelope. */
export type Fields<C extends ChannelName> = C extends ChannelName
  ? OmitEach<z.input<(typeof CHANNELS)[C]["schema"]>, "id" | "version" | "published_at">
  : never;
type OmitEach<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/**
 * Makes a message: adds the envelope, validates it by the channel's contract and writes it as JSON. The id derives from
 * the parent's id and from `name`, so that a repeated step repeats the id; without a parent `name` is the id.
 *
 * @throws PermanentError when the message breaks the contract (a mistake in the sender).
 */
export function compose<C extends ChannelName>(
  to: C,
  name: string,
  fields: Fields<C>,
  parent?: Parent,
): Outgoing {
  const id = parent === undefined ? name : childId(parent.id, name);
  const message = {
    ...(fields as Record<string, unknown>),
    id,
    version: 1,
    published_at: stamp(parent?.published_at),
    ...(parent?.traceparent === undefined ? {} : { traceparent: parent.traceparent }),
  };
  const checked = CHANNELS[to].schema.safeParse(message);
  if (!checked.success) {
    throw new PermanentError(
      `Cannot send on ${to}: ${issuesOf(checked.error)}. This is a defect of the sender; please report it.`,
    );
  }
  return { to, id, body: JSON.stringify(message) };
}

/** @throws PermanentError when the body isn't JSON or breaks the channel's contract; the reason names each problem. */
export function decode<C extends ChannelName>(on: C, body: string): MessageOn<C> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new PermanentError(
      `Cannot read a message on ${on}: its ${body.length} characters are not JSON. The dead letter keeps them.`,
    );
  }
  const checked = CHANNELS[on].schema.safeParse(json);
  if (!checked.success) {
    throw new PermanentError(`Cannot read a message on ${on}: ${issuesOf(checked.error)}.`);
  }
  return checked.data as MessageOn<C>;
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join(".") || "(message)"}: ${issue.message}`).join("; ");
}
