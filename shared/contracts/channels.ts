/**
 * The whole chain on one page: every channel, its messages, its senders and its receiver.
 *
 * @module
 */
import type { z } from "zod";
import {
  Decide,
  Deliver,
  Phase1Complete,
  Phase2Complete,
  RunEvent,
  RunOutcome,
  StartRun,
} from "./messages.ts";
import { Notify } from "./notifications.ts";

/** Names of the actors, as they appear in the directory, in events and in logs. */
export type ActorName =
  | "extractor"
  | "tracker"
  | "transformer"
  | "saver"
  | "gatekeeper"
  | "courier"
  | "recorder"
  | "notifier";

/** A sender of messages: an actor, or the API, the command line or the schedule. */
export type Sender = ActorName | "api" | "cli" | "schedule";

/** The fixed facts of a channel. */
export interface ChannelContract {
  /** Validated by the sender, and again by the receiver. */
  readonly schema: z.ZodType;
  /** Who sends on it. */
  readonly senders: readonly Sender[];
  /** The one actor that owns the mailbox. */
  readonly receiver: ActorName;
  /** What the message says, in one sentence. */
  readonly about: string;
}

/**
 * Every channel of the system. The names of the two `phase` channels are public and never change: other programs
 * publish to them and subscribe to them. Dead letters of a channel are under `<name>:dead`.
 */
export const CHANNELS = {
  "channel:start_run": {
    schema: StartRun,
    senders: ["api", "cli", "schedule", "extractor"],
    receiver: "extractor",
    about: "A run is requested.",
  },
  "channel:phase1_complete": {
    schema: Phase1Complete,
    senders: ["extractor"],
    receiver: "transformer",
    about: "A raw file is complete.",
  },
  "channel:phase2_complete": {
    schema: Phase2Complete,
    senders: ["transformer", "gatekeeper"],
    receiver: "saver",
    about: "The processed and the dead-letter file of a raw file are complete.",
  },
  "channel:decision": {
    schema: Decide,
    senders: ["api", "recorder"],
    receiver: "gatekeeper",
    about: "Somebody decided on a run that is held.",
  },
  "channel:run_outcome": {
    schema: RunOutcome,
    senders: ["saver", "gatekeeper"],
    receiver: "tracker",
    about: "A run is loaded, held, or decided on.",
  },
  "channel:deliver": {
    schema: Deliver,
    senders: ["saver", "api", "cli"],
    receiver: "courier",
    about: "The files of a loaded run are to be on the SFTP server.",
  },
  "channel:run_events": {
    schema: RunEvent,
    senders: ["extractor", "transformer", "saver", "gatekeeper", "courier", "api", "cli", "schedule"],
    receiver: "recorder",
    about: "Something happened to a run.",
  },
  "channel:notify": {
    schema: Notify,
    senders: ["recorder", "saver", "notifier", "api"],
    receiver: "notifier",
    about: "Somebody outside is to be notified.",
  },
} as const satisfies Record<string, ChannelContract>;

/** The name of a channel. */
export type ChannelName = keyof typeof CHANNELS;

/** The message that travels on channel `C`, as its receiver sees it. */
export type MessageOn<C extends ChannelName> = z.output<(typeof CHANNELS)[C]["schema"]>;
