import type { Beat, Channel, MailboxState } from "../shared/channel/channel.ts";
import { CHANNELS } from "../shared/contracts/channels.ts";

export interface ActorView {
  readonly name: string;
  readonly channel: string;
  readonly mailbox: MailboxState;
  readonly instances: readonly Beat[];
}

/** All actors, in the order of the chain, or those of one name. */
export async function viewActors(channel: Channel, name?: string): Promise<ActorView[]> {
  const beats = await channel.beats();
  const wanted = Object.entries(CHANNELS).filter(([, { receiver }]) =>
    name === undefined || receiver === name
  );
  return await Promise.all(wanted.map(async ([mailbox, { receiver }]) => ({
    name: receiver,
    channel: mailbox,
    mailbox: await channel.mailbox(mailbox).state(),
    instances: beats.filter((beat) => beat.actor === receiver),
  })));
}

export function mailboxOf(actor: string): string | undefined {
  return Object.entries(CHANNELS).find(([, { receiver }]) => receiver === actor)?.[0];
}
