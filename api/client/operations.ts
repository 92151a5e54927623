/**
 * What is asked of the API, and the shapes of its answers. A test holds each operation against the schema.
 *
 * @module
 */
import type { JsonObject } from "../../shared/pipeline/rules.ts";
import type { Phase, RunStatus } from "../../shared/contracts/phases.ts";

/** Something a mutation answers: what came of it, or why nothing was done. */
export interface Outcome {
  /** The name of its type; what ends in `Success` was done. */
  readonly __typename: string;
  /** What is wrong, and what to do, where nothing was done. */
  readonly message?: string;
  /** The run that it is about. */
  readonly runId?: string;
}

/** A run in a list. */
export interface RunLine {
  /** Number in order of arrival. */
  readonly id: string;
  /** Its id. */
  readonly runId: string;
  /** When it was asked for. */
  readonly runTimestamp: string;
  /** Where it is. */
  readonly status: RunStatus;
  /** Who asked. */
  readonly requestedBy: string | null;
  /** When its first phase began. */
  readonly startedAt: string | null;
  /** How long it took, in milliseconds. */
  readonly durationMs: number | null;
  /** Valid records, once loaded. */
  readonly validCount: number | null;
  /** Invalid records, once loaded. */
  readonly invalidCount: number | null;
  /** Its delivery, once begun. */
  readonly delivery: { readonly state: string } | null;
  /** The run that it corrects. */
  readonly correctionOf: { readonly id: string; readonly runId: string } | null;
}

const RUN_LINE = `fragment Line on EtlRun {
  id runId runTimestamp status requestedBy startedAt durationMs validCount invalidCount
  delivery { state } correctionOf { id runId }
}`;

/** A page of runs. */
export interface Runs {
  /** The page. */
  readonly etlRunsConnection: {
    /** The runs, newest first. */
    readonly nodes: readonly RunLine[];
    /** Runs in all. */
    readonly totalCount: number;
    /** Where the next page begins. */
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}
/** Runs, newest first. */
export const RUNS = `query Runs($first: Int!, $after: String) {
  etlRunsConnection(first: $first, after: $after) {
    nodes { ...Line } totalCount pageInfo { hasNextPage endCursor }
  }
}
${RUN_LINE}`;

/** An actor. */
export interface Actor {
  /** Its name. */
  readonly name: string;
  /** Messages completed by its instances. */
  readonly handled: number;
  /** Messages given up by its instances. */
  readonly failed: number;
  /** Where its messages wait. */
  readonly mailbox: {
    /** Its channel. */
    readonly channel: string;
    /** Messages that wait or are worked on. */
    readonly depth: number;
    /** Whether messages are held back. */
    readonly paused: boolean;
    /** Messages given up. */
    readonly deadLetters: number;
  };
  /** The processes that play it. */
  readonly instances: readonly {
    /** Which one. */
    readonly id: string;
    /** What it does. */
    readonly state: "idle" | "working" | "paused" | "stopping" | "stopped";
    /** When it last said so. */
    readonly lastSeenAt: string;
    /** What it works on. */
    readonly currentRun:
      | {
        readonly runId: string;
        readonly records: number;
        readonly total: number | null;
        readonly unit: "records" | "bytes";
      }
      | null;
  }[];
}

const ACTOR_FIELDS = `fragment Fields on Actor {
  name handled failed mailbox { channel depth paused deadLetters }
  instances { id state lastSeenAt currentRun { runId records total unit } }
}`;

/** All actors. */
export interface Actors {
  /** In the order of the chain. */
  readonly actors: readonly Actor[];
}
/** All actors. */
export const ACTORS = `query Actors { actors { ...Fields } }
${ACTOR_FIELDS}`;

/** An actor that changed. */
export interface ActorChange {
  /** As it is now. */
  readonly actorChanges: Actor;
}
/** Actors as they change. */
export const ACTOR_CHANGES = `subscription ActorChanges { actorChanges { ...Fields } }
${ACTOR_FIELDS}`;

/** Something that happened to a run. */
export interface Event {
  /** Which one. */
  readonly id: string;
  /** When. */
  readonly at: string;
  /** The run. */
  readonly runId: string;
  /** Who tells it. */
  readonly actor: string;
  /** What happened. */
  readonly type: string;
  /** In which phase. */
  readonly phase: Phase | null;
  /** At which try. */
  readonly attempt: number | null;
  /** Why. */
  readonly reason: string | null;
  /** What was found out. */
  readonly detail: JsonObject | null;
}

const EVENT_FIELDS = "id at runId actor type phase attempt reason detail";

/** An event as it happens. */
export interface RunEvents {
  /** The event. */
  readonly runEvents: Event;
}
/** What happens to one run, or to all. */
export const RUN_EVENTS =
  `subscription RunEvents($runId: ID) { runEvents(runId: $runId) { ${EVENT_FIELDS} } }`;

/** How often a rule failed. */
export interface Reason {
  /** The rule and how it failed, such as `age: greater than 65`. */
  readonly reason: string;
  /** How often. */
  readonly count: number;
}

/** All of a run. */
export interface Run extends RunLine {
  /** Where the records came from. */
  readonly source: string | null;
  /** When it ended. */
  readonly finishedAt: string | null;
  /** Phases that were started. */
  readonly phases: readonly {
    /** Which. */
    readonly phase: Phase;
    /** From. */
    readonly startedAt: string;
    /** To. */
    readonly finishedAt: string | null;
    /** How long, in milliseconds. */
    readonly durationMs: number | null;
    /** How many records. */
    readonly records: number | null;
    /** How fast. */
    readonly recordsPerSecond: number | null;
    /** How many tries. */
    readonly attempts: number;
  }[];
  /** What was told of it, oldest first. */
  readonly events: readonly Event[];
  /** Loaded files. */
  readonly files: readonly {
    /** Which. */
    readonly kind: string;
    /** Path. */
    readonly name: string;
    /** Content. */
    readonly sha256: string;
    /** Size. */
    readonly bytes: number;
    /** Lines. */
    readonly records: number;
  }[];
  /** The delivery, once begun. */
  readonly delivery: {
    /** How far it is. */
    readonly state: string;
    /** When it was done. */
    readonly deliveredAt: string | null;
    /** What was last wrong with it. */
    readonly error: string | null;
    /** What lies on the server. */
    readonly files: readonly {
      /** Where. */
      readonly remotePath: string;
      /** Size as delivered. */
      readonly bytes: number;
      /** How it was verified. */
      readonly verified: string;
      /** Whether it was encrypted. */
      readonly encrypted: boolean;
    }[];
  } | null;
  /** Why records were invalid. */
  readonly reasons: readonly Reason[];
  /** Departments that the lookup lacked. */
  readonly lookupGaps: readonly { readonly department: string; readonly count: number }[];
  /** Why it failed. */
  readonly failure: {
    /** In which phase. */
    readonly phase: Phase | null;
    /** Why. */
    readonly reason: string;
    /** Whether asking again can help. */
    readonly retryable: boolean;
  } | null;
  /** Runs that correct it. */
  readonly corrections: readonly RunLine[];
  /** The run that was resumed in its place. */
  readonly supersededBy: { readonly id: string; readonly runId: string } | null;
}
/** The answer to `RUN`. */
export interface RunAnswer {
  /** The run, where there is one. */
  readonly etlRun: Run | null;
}
/** All of a run, by its number (`id`) or its `runId`. */
export const RUN = `query Run($id: ID, $runId: ID) {
  etlRun(id: $id, runId: $runId) {
    ...Line source finishedAt
    phases { phase startedAt finishedAt durationMs records recordsPerSecond attempts }
    events { ${EVENT_FIELDS} }
    files { kind name sha256 bytes records }
    delivery { state deliveredAt error files { remotePath bytes verified encrypted } }
    reasons { reason count }
    lookupGaps { department count }
    failure { phase reason retryable }
    corrections { ...Line }
    supersededBy { id runId }
  }
}
${RUN_LINE}`;

/** A bad record. */
export interface InvalidRecord {
  /** Its id. */
  readonly id: string;
  /** Its line in the dead-letter file. */
  readonly line: number;
  /** Every problem of it. */
  readonly errorReason: string | null;
  /** The record with `error_reason`; personal fields read `***`. */
  readonly data: JsonObject;
  /** Raw records that correct it already. */
  readonly corrections: readonly { readonly runId: string }[];
}
/** A page of bad records. */
export interface InvalidRecords {
  /** The page. */
  readonly invalidRecords: {
    /** The records, in the file's order. */
    readonly nodes: readonly InvalidRecord[];
    /** Where the next page begins. */
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}
/** Bad records of a run, of one reason or of all. */
export const INVALID_RECORDS =
  `query InvalidRecords($runId: ID!, $reason: String, $first: Int!, $after: String) {
  invalidRecords(runId: $runId, reason: $reason, first: $first, after: $after) {
    nodes { id line errorReason data corrections { runId } } pageInfo { hasNextPage endCursor }
  }
}`;

/** A correction of one record. */
export interface RecordPatch {
  /** The record. */
  readonly recordId: string;
  /** JSON Merge Patch. */
  readonly patch?: JsonObject;
  /** The whole new text. */
  readonly text?: string;
}
/** What the rules say of a corrected record. */
export interface Verdict {
  /** The record. */
  readonly recordId: string;
  /** Whether it would be valid. */
  readonly valid: boolean;
  /** What is still wrong. */
  readonly problems: readonly string[];
}
/** The answer to `REPLAY`. */
export interface ReplayAnswer {
  /** A dry run's verdicts, the correction run, or why nothing was done. */
  readonly replayInvalidRecords: Outcome & {
    /** Of each record. */
    readonly verdicts?: readonly Verdict[];
    /** Which correction can't be used. */
    readonly path?: string;
  };
}
/** Corrects bad records, or (`dryRun`) says what would come of it. */
export const REPLAY = `mutation Replay($runId: ID!, $patches: [RecordPatch!]!, $dryRun: Boolean) {
  replayInvalidRecords(input: { runId: $runId, patches: $patches, dryRun: $dryRun }) {
    __typename
    ... on ReplayDryRun { verdicts { recordId valid problems } }
    ... on ReplayInvalidRecordsSuccess { runId verdicts { recordId valid problems } }
    ... on InvalidPatch { path }
    ... on Problem { message }
  }
}`;

/** A message that was given up. */
export interface DeadLetter {
  /** Its id. */
  readonly id: string;
  /** Its channel. */
  readonly channel: string;
  /** Its text; what may be personal is hidden. */
  readonly body: string;
  /** Why it was given up. */
  readonly reason: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** When it was given up. */
  readonly buriedAt: string;
}
/** A page of dead letters. */
export interface DeadLetters {
  /** The page. */
  readonly deadLetters: {
    /** The letters, newest first. */
    readonly nodes: readonly DeadLetter[];
    /** Where the next page begins. */
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}
/** Messages that were given up. */
export const DEAD_LETTERS = `query DeadLetters($first: Int!, $after: String) {
  deadLetters(first: $first, after: $after) {
    nodes { id channel body reason attempts buriedAt } pageInfo { hasNextPage endCursor }
  }
}`;

/** The mutations that take one argument, by name. */
export const STEER = {
  startRun: `mutation { outcome: startRun {
    __typename ... on StartRunSuccess { runId } ... on Problem { message } } }`,
  pauseActor: `mutation ($name: String!) { outcome: pauseActor(name: $name) {
    __typename ... on Problem { message } } }`,
  resumeActor: `mutation ($name: String!) { outcome: resumeActor(name: $name) {
    __typename ... on Problem { message } } }`,
  redeliverRun: `mutation ($runId: ID!) { outcome: redeliverRun(runId: $runId) {
    __typename ... on RedeliverRunSuccess { runId } ... on Problem { message } } }`,
  cancelRun: `mutation ($runId: ID!) { outcome: cancelRun(runId: $runId) {
    __typename ... on CancelRunSuccess { runId } ... on Problem { message } } }`,
  replayDeadLetter: `mutation ($id: ID!) { outcome: replayDeadLetter(id: $id) {
    __typename ... on Problem { message } } }`,
  discardDeadLetter: `mutation ($id: ID!) { outcome: discardDeadLetter(id: $id) {
    __typename ... on Problem { message } } }`,
} as const;
/** The name of such a mutation. */
export type Steering = keyof typeof STEER;
/** What came of one. */
export interface Steered {
  /** What came of it. */
  readonly outcome: Outcome;
}
