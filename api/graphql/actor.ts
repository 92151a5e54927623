import type { Beat } from "../../shared/channel/channel.ts";
import { type ActorView, viewActors } from "../actors.ts";
import { builder } from "./builder.ts";
import { runById } from "./run.ts";

const Mailbox = builder.objectRef<ActorView>("Mailbox").implement({
  description: "The queue of an actor's messages.",
  fields: (t) => ({
    channel: t.exposeString("channel"),
    depth: t.int({
      description: "Messages that are waiting or in progress.",
      resolve: ({ mailbox }) => mailbox.depth,
    }),
    oldestAgeMs: t.field({
      type: "Long",
      nullable: true,
      description: "Milliseconds since the oldest of them was sent.",
      resolve: ({ mailbox }) => mailbox.oldestAgeMs === undefined ? null : Math.round(mailbox.oldestAgeMs),
    }),
    paused: t.boolean({ resolve: ({ mailbox }) => mailbox.paused }),
    deadLetters: t.int({
      description: "Messages that failed permanently.",
      resolve: ({ mailbox }) => mailbox.dead,
    }),
  }),
});

const ProgressUnit = builder.enumType("ProgressUnit", {
  values: ["records", "bytes"] as const,
  description: "What the progress of a phase is counted in.",
});

const CurrentRun = builder.objectRef<NonNullable<Beat["current"]>>("CurrentRun").implement({
  description: "The run that an instance works on.",
  fields: (t) => ({
    runId: t.exposeID("runId"),
    records: t.expose("done", {
      type: "Long",
      description: "Done so far in this phase, in `unit`; the field's name is older than the unit.",
    }),
    total: t.expose("total", {
      type: "Long",
      nullable: true,
      description: "Total of this phase in `unit`, where it is known.",
    }),
    unit: t.expose("unit", { type: ProgressUnit }),
    run: t.field(runById(({ runId }) => runId)),
  }),
});

const InstanceStateEnum = builder.enumType("InstanceState", {
  values: ["idle", "working", "paused", "stopping", "stopped"] as const,
  description: "The state of an instance.",
});

const Instance = builder.objectRef<Beat>("ActorInstance").implement({
  description: "A process that runs an actor, as of its last heartbeat.",
  fields: (t) => ({
    id: t.exposeID("instance"),
    host: t.exposeString("host"),
    pid: t.exposeInt("pid"),
    state: t.expose("state", { type: InstanceStateEnum }),
    startedAt: t.field({ type: "DateTime", resolve: (beat) => new Date(beat.startedAt).toISOString() }),
    lastSeenAt: t.field({ type: "DateTime", resolve: (beat) => new Date(beat.at).toISOString() }),
    currentRun: t.expose("current", { type: CurrentRun, nullable: true }),
    handled: t.exposeInt("handled", { description: "Messages completed since it started." }),
    failed: t.exposeInt("failed", { description: "Messages that failed permanently since it started." }),
  }),
});

export const Actor = builder.objectRef<ActorView>("Actor").implement({
  description: "Takes the messages of one channel, one at a time, and publishes the results.",
  fields: (t) => ({
    name: t.exposeString("name"),
    instances: t.expose("instances", { type: [Instance] }),
    mailbox: t.field({ type: Mailbox, resolve: (actor) => actor }),
    handled: t.int({ resolve: ({ instances }) => instances.reduce((sum, beat) => sum + beat.handled, 0) }),
    failed: t.int({ resolve: ({ instances }) => instances.reduce((sum, beat) => sum + beat.failed, 0) }),
  }),
});

builder.queryFields((t) => ({
  actors: t.field({
    type: [Actor],
    description: "All actors, in the order of the chain.",
    resolve: (_root, _args, { ports }) => viewActors(ports.channel),
  }),
  actor: t.field({
    type: Actor,
    nullable: true,
    description: "The actor of this name.",
    args: { name: t.arg.string({ required: true }) },
    resolve: async (_root, { name }, { ports }) => (await viewActors(ports.channel, name))[0],
  }),
}));
