/** Operations on the API. The types of their answers are generated from these texts (`deno task generate`). */
import type { Operation } from "./graphql.ts";
import type * as types from "./types.d.ts";

const LINE = `fragment Line on EtlRun {
  id runId pipeline runTimestamp status requestedBy startedAt durationMs validCount invalidCount
  delivery { state } correctionOf { id runId } since { from to }
}`;
const ACTOR = `fragment Actor on Actor {
  name handled failed mailbox { channel depth paused deadLetters }
  instances { id state lastSeenAt currentRun { runId records total unit } }
}`;
const EVENT = `fragment Event on RunEvent { id at runId actor type phase attempt reason requestedBy detail }`;
const VERDICT = `fragment Verdict on RecordVerdict { recordId valid problems }`;

export type RunLine = types.LineFragment;
export type Run = NonNullable<types.RunQuery["etlRun"]>;
export type Actor = types.ActorFragment;
export type Event = types.EventFragment;
export type InvalidRecord = types.InvalidRecordsQuery["invalidRecords"]["nodes"][number];
export type DeadLetter = types.DeadLettersQuery["deadLetters"]["nodes"][number];
export type Verdict = types.VerdictFragment;
export type RecordPatch = types.RecordPatch;

export const RUNS = `query Runs($first: Int!, $after: String, $pipeline: String) {
  etlRunsConnection(first: $first, after: $after, filter: { pipeline: $pipeline }) {
    nodes { ...Line } totalCount pageInfo { hasNextPage endCursor }
  }
}
${LINE}` as Operation<types.RunsQuery>;

export const PIPELINES = `query Pipelines {
  pipelines { name problems source schedule nextRun runs tables added lastRun { ...Line } }
}
${LINE}` as Operation<types.PipelinesQuery>;
export type Pipeline = types.PipelinesQuery["pipelines"][number];

export const RULES = `query Rules($name: String!) {
  pipeline(name: $name) { name rules fields { field kind wanted minimum maximum pattern } }
}` as Operation<types.RulesQuery>;
export type Rule = NonNullable<types.RulesQuery["pipeline"]>["fields"][number];

export const ACTORS = `query Actors { actors { ...Actor } }
${ACTOR}` as Operation<types.ActorsQuery>;

export const ACTOR_CHANGES = `subscription ActorChanges { actorChanges { ...Actor } }
${ACTOR}` as Operation<types.ActorChangesSubscription>;

/** Events of all runs, as they happen. */
export const RUN_EVENTS = `subscription RunEvents { runEvents { ...Event } }
${EVENT}` as Operation<types.RunEventsSubscription>;

/** By its number (`id`) or its `runId`. */
export const RUN = `query Run($id: ID, $runId: ID) {
  etlRun(id: $id, runId: $runId) {
    ...Line source finishedAt
    phases { phase startedAt finishedAt durationMs records recordsPerSecond attempts }
    events { ...Event }
    files { kind name sha256 bytes records }
    delivery { state deliveredAt error files { remotePath bytes verified encrypted } }
    reasons { reason count }
    lookupGaps { department count }
    completeness { announced received missing repeated }
    failure { phase reason retryable }
    hold { reason heldAt validCount invalidCount samples decision decidedBy decidedAt
      comparedWith { id runId validCount invalidCount } }
    changes { added changed removed restored }
    corrections { ...Line }
    supersededBy { id runId }
  }
}
${LINE}
${EVENT}` as Operation<types.RunQuery>;

const CHANGE = `fragment Change on RecordChange {
  key change at runId run { id } differences { field before after } missing
}`;
export type Change = types.ChangeFragment;
export type ChangeKind = types.ChangeKind;

export const CHANGES = `query Changes($runId: ID!, $change: ChangeKind, $first: Int!) {
  changes(runId: $runId, change: $change, first: $first) {
    nodes { ...Change } pageInfo { hasNextPage }
  }
}
${CHANGE}` as Operation<types.ChangesQuery>;

export const CURRENT_FIELDS = `query CurrentFields {
  pipelines { name currentRecords currentFields { field type } }
}` as Operation<types.CurrentFieldsQuery>;

export const CURRENT = `query Current($pipeline: String!, $where: JSON, $first: Int!) {
  current(pipeline: $pipeline, where: $where, first: $first) {
    nodes { key data changedAt changedRun { id runId } } pageInfo { hasNextPage }
  }
}` as Operation<types.CurrentQuery>;

export const RECORD = `query Record($key: ID!, $pipeline: String, $last: Int!) {
  record(key: $key, pipeline: $pipeline) {
    key pipeline
    current { data changedAt firstRun { id runId } changedRun { id runId } seenRun { id runId } }
    origin {
      run { id runId source requestedBy files { kind name sha256 } delivery { state files { kind remotePath deliveredAt verified } } }
      raw { line data corrects { errorReason line run { id runId } } }
      page request rulesSha256 areRulesCurrent lookupSha256
    }
    changes(last: $last) { nodes { ...Change } pageInfo { hasPreviousPage } }
    invalid { line errorReason insertionDate runId run { id } corrections { runId run { id } } }
  }
}
${CHANGE}` as Operation<types.RecordQuery>;
export type RecordHistory = NonNullable<types.RecordQuery["record"]>;

/** Invalid records of a run, with one reason or all. */
export const INVALID_RECORDS =
  `query InvalidRecords($runId: ID!, $reason: String, $first: Int!, $after: String) {
  invalidRecords(runId: $runId, reason: $reason, first: $first, after: $after) {
    nodes { id line errorReason data corrections { runId } } pageInfo { hasNextPage endCursor }
  }
}` as Operation<types.InvalidRecordsQuery>;

export const DEAD_LETTERS = `query DeadLetters($first: Int!) {
  deadLetters(first: $first) {
    nodes { id channel body reason attempts buriedAt } pageInfo { hasNextPage }
  }
}` as Operation<types.DeadLettersQuery>;

export const NOTIFICATIONS = `query Notifications($first: Int!, $webhookId: ID) {
  notifications(first: $first, webhookId: $webhookId) {
    nodes { id webhookId type host pipeline runId text happenedAt state attempts triedAt result } pageInfo { hasNextPage }
  }
}` as Operation<types.NotificationsQuery>;
export type NotificationLine = types.NotificationsQuery["notifications"]["nodes"][number];

/** Corrects invalid records, or (`dryRun`) only judges the corrections. */
export const REPLAY = `mutation Replay($runId: ID!, $patches: [RecordPatch!]!, $dryRun: Boolean) {
  replayInvalidRecords(input: { runId: $runId, patches: $patches, dryRun: $dryRun }) {
    __typename
    ... on ReplayDryRun { verdicts { ...Verdict } }
    ... on ReplayInvalidRecordsSuccess { runId verdicts { ...Verdict } }
    ... on InvalidPatch { path }
    ... on Problem { message }
  }
}
${VERDICT}` as Operation<{
  readonly replayInvalidRecords: Outcome & {
    readonly verdicts?: readonly Verdict[];
    readonly path?: string;
  };
}>;

export interface Outcome {
  /** Ends in `Success` if the mutation succeeded. */
  readonly __typename: string;
  /** The problem and the remedy, if the mutation failed. */
  readonly message?: string;
  readonly runId?: string;
  readonly webhookId?: string;
}

const steer = (text: string) => text as Operation<{ readonly outcome: Outcome }>;

/** The mutations whose arguments are texts, by name. */
export const STEER = {
  startRun: steer(`mutation ($pipeline: String, $since: String) {
    outcome: startRun(input: { pipeline: $pipeline, since: $since }) {
      __typename ... on StartRunSuccess { runId } ... on Problem { message } } }`),
  releaseRun: steer(`mutation ($runId: ID!) { outcome: releaseRun(runId: $runId) {
    __typename ... on ReleaseRunSuccess { runId } ... on Problem { message } } }`),
  rejectRun: steer(`mutation ($runId: ID!) { outcome: rejectRun(runId: $runId) {
    __typename ... on RejectRunSuccess { runId } ... on Problem { message } } }`),
  pauseActor: steer(`mutation ($name: String!) { outcome: pauseActor(name: $name) {
    __typename ... on Problem { message } } }`),
  resumeActor: steer(`mutation ($name: String!) { outcome: resumeActor(name: $name) {
    __typename ... on Problem { message } } }`),
  redeliverRun: steer(`mutation ($runId: ID!) { outcome: redeliverRun(runId: $runId) {
    __typename ... on RedeliverRunSuccess { runId } ... on Problem { message } } }`),
  cancelRun: steer(`mutation ($runId: ID!) { outcome: cancelRun(runId: $runId) {
    __typename ... on CancelRunSuccess { runId } ... on Problem { message } } }`),
  replayDeadLetter: steer(`mutation ($id: ID!) { outcome: replayDeadLetter(id: $id) {
    __typename ... on Problem { message } } }`),
  sendTestNotification: steer(`mutation { outcome: sendTestNotification {
    __typename ... on SendTestNotificationSuccess { webhookId } ... on Problem { message } } }`),
  discardDeadLetter: steer(`mutation ($id: ID!) { outcome: discardDeadLetter(id: $id) {
    __typename ... on Problem { message } } }`),
} as const;
export type Steering = keyof typeof STEER;
