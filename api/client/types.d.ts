// Made by `deno task generate` from api/client/operations.ts; change it there.

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** What a run did to a record of the current state. */
export type ChangeKind =
  /** Its key wasn't known. */
  | 'ADDED'
  /** Some of its fields have other values. */
  | 'CHANGED'
  /** A complete run no longer holds it. */
  | 'REMOVED'
  /** It had been removed. */
  | 'RESTORED';

/** The state of a delivery. */
export type DeliveryState =
  | 'DELIVERED'
  | 'FAILED'
  | 'NOT_CONFIGURED'
  | 'PENDING';

/** Which of a run's files. */
export type FileKind =
  | 'invalid'
  | 'manifest'
  | 'processed'
  | 'raw';

/** The decision on a held run. */
export type HoldDecision =
  /** Nothing of it was loaded. */
  | 'REJECTED'
  /** It was loaded as it was held. */
  | 'RELEASED';

/** The state of an instance. */
export type InstanceState =
  | 'idle'
  | 'paused'
  | 'stopped'
  | 'stopping'
  | 'working';

/** `WAITING`: for its first or another try; `SENT`: the receiver has accepted it; `FAILED`: it isn't retried. */
export type NotificationState =
  | 'FAILED'
  | 'SENT'
  | 'WAITING';

/** A phase of a run. */
export type Phase =
  | 'DELIVERING'
  | 'EXTRACTING'
  | 'LOADING'
  | 'TRANSFORMING';

/** What the progress of a phase is counted in. */
export type ProgressUnit =
  | 'bytes'
  | 'records';

/** A correction of one invalid record. Without `patch` and `text` the record is replayed as it is. */
export type RecordPatch = {
  /** JSON Merge Patch (RFC 7396); fields that read as `***` are left out. */
  readonly patch?: Readonly<Record<string, unknown>> | null | undefined;
  /** `InvalidRecord.id`. */
  readonly recordId: string;
  /** The whole new text, for a line that was no JSON object. */
  readonly text?: string | null | undefined;
};

/** The status of a run. */
export type RunStatus =
  | 'COMPLETED'
  | 'DELIVERING'
  | 'DELIVERY_PENDING'
  | 'EXTRACTING'
  | 'FAILED'
  | 'HELD'
  | 'LOADING'
  | 'REQUESTED'
  | 'TRANSFORMING';

export type ActorsQueryVariables = Exact<{ [key: string]: never; }>;


export type ActorsQuery = { readonly actors: ReadonlyArray<{ readonly name: string, readonly handled: number, readonly failed: number, readonly mailbox: { readonly channel: string, readonly depth: number, readonly paused: boolean, readonly deadLetters: number }, readonly instances: ReadonlyArray<{ readonly id: string, readonly state: InstanceState, readonly lastSeenAt: string, readonly currentRun: { readonly runId: string, readonly records: number, readonly total: number | null, readonly unit: ProgressUnit } | null }> }> };

export type ActorFragment = { readonly name: string, readonly handled: number, readonly failed: number, readonly mailbox: { readonly channel: string, readonly depth: number, readonly paused: boolean, readonly deadLetters: number }, readonly instances: ReadonlyArray<{ readonly id: string, readonly state: InstanceState, readonly lastSeenAt: string, readonly currentRun: { readonly runId: string, readonly records: number, readonly total: number | null, readonly unit: ProgressUnit } | null }> };

export type ActorChangesSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type ActorChangesSubscription = { readonly actorChanges: { readonly name: string, readonly handled: number, readonly failed: number, readonly mailbox: { readonly channel: string, readonly depth: number, readonly paused: boolean, readonly deadLetters: number }, readonly instances: ReadonlyArray<{ readonly id: string, readonly state: InstanceState, readonly lastSeenAt: string, readonly currentRun: { readonly runId: string, readonly records: number, readonly total: number | null, readonly unit: ProgressUnit } | null }> } };

export type ChangesQueryVariables = Exact<{
  runId: string;
  change?: ChangeKind | null | undefined;
  first: number;
}>;


export type ChangesQuery = { readonly changes: { readonly nodes: ReadonlyArray<{ readonly key: string, readonly change: ChangeKind, readonly at: string, readonly runId: string, readonly missing: string | null, readonly run: { readonly id: string } | null, readonly differences: ReadonlyArray<{ readonly field: string, readonly before: Readonly<Record<string, unknown>> | null, readonly after: Readonly<Record<string, unknown>> | null }> | null }>, readonly pageInfo: { readonly hasNextPage: boolean } } };

export type ChangeFragment = { readonly key: string, readonly change: ChangeKind, readonly at: string, readonly runId: string, readonly missing: string | null, readonly run: { readonly id: string } | null, readonly differences: ReadonlyArray<{ readonly field: string, readonly before: Readonly<Record<string, unknown>> | null, readonly after: Readonly<Record<string, unknown>> | null }> | null };

export type CurrentQueryVariables = Exact<{
  pipeline: string;
  where?: Readonly<Record<string, unknown>> | null | undefined;
  first: number;
}>;


export type CurrentQuery = { readonly current: { readonly nodes: ReadonlyArray<{ readonly key: string, readonly data: Readonly<Record<string, unknown>>, readonly changedAt: string, readonly changedRun: { readonly id: string, readonly runId: string } | null }>, readonly pageInfo: { readonly hasNextPage: boolean } } };

export type CurrentFieldsQueryVariables = Exact<{ [key: string]: never; }>;


export type CurrentFieldsQuery = { readonly pipelines: ReadonlyArray<{ readonly name: string, readonly currentRecords: number | null, readonly currentFields: ReadonlyArray<{ readonly field: string, readonly type: string }> }> };

export type DeadLettersQueryVariables = Exact<{
  first: number;
}>;


export type DeadLettersQuery = { readonly deadLetters: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly channel: string, readonly body: string, readonly reason: string, readonly attempts: number, readonly buriedAt: string }>, readonly pageInfo: { readonly hasNextPage: boolean } } };

export type InvalidRecordsQueryVariables = Exact<{
  runId: string;
  reason?: string | null | undefined;
  first: number;
  after?: string | null | undefined;
}>;


export type InvalidRecordsQuery = { readonly invalidRecords: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly line: number, readonly errorReason: string | null, readonly data: Readonly<Record<string, unknown>>, readonly corrections: ReadonlyArray<{ readonly runId: string }> }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type NotificationsQueryVariables = Exact<{
  first: number;
  webhookId?: string | null | undefined;
}>;


export type NotificationsQuery = { readonly notifications: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly webhookId: string, readonly type: string, readonly host: string, readonly pipeline: string | null, readonly runId: string | null, readonly text: string, readonly happenedAt: string, readonly state: NotificationState, readonly attempts: number, readonly triedAt: string | null, readonly result: string | null }>, readonly pageInfo: { readonly hasNextPage: boolean } } };

export type PipelinesQueryVariables = Exact<{ [key: string]: never; }>;


export type PipelinesQuery = { readonly pipelines: ReadonlyArray<{ readonly name: string, readonly problems: ReadonlyArray<string>, readonly source: string | null, readonly schedule: string | null, readonly nextRun: string | null, readonly runs: number, readonly tables: ReadonlyArray<string>, readonly added: ReadonlyArray<string>, readonly lastRun: { readonly id: string, readonly runId: string, readonly pipeline: string, readonly runTimestamp: string, readonly status: RunStatus, readonly requestedBy: string | null, readonly startedAt: string | null, readonly durationMs: number | null, readonly validCount: number | null, readonly invalidCount: number | null, readonly delivery: { readonly state: DeliveryState } | null, readonly correctionOf: { readonly id: string, readonly runId: string } | null, readonly since: { readonly from: string, readonly to: string | null } | null } | null }> };

export type LineFragment = { readonly id: string, readonly runId: string, readonly pipeline: string, readonly runTimestamp: string, readonly status: RunStatus, readonly requestedBy: string | null, readonly startedAt: string | null, readonly durationMs: number | null, readonly validCount: number | null, readonly invalidCount: number | null, readonly delivery: { readonly state: DeliveryState } | null, readonly correctionOf: { readonly id: string, readonly runId: string } | null, readonly since: { readonly from: string, readonly to: string | null } | null };

export type RecordQueryVariables = Exact<{
  key: string;
  pipeline?: string | null | undefined;
  last: number;
}>;


export type RecordQuery = { readonly record: { readonly key: string, readonly pipeline: string, readonly current: { readonly data: Readonly<Record<string, unknown>>, readonly changedAt: string, readonly firstRun: { readonly id: string, readonly runId: string } | null, readonly changedRun: { readonly id: string, readonly runId: string } | null, readonly seenRun: { readonly id: string, readonly runId: string } | null } | null, readonly origin: { readonly page: number | null, readonly request: string | null, readonly rulesSha256: string | null, readonly areRulesCurrent: boolean | null, readonly lookupSha256: string | null, readonly run: { readonly id: string, readonly runId: string, readonly source: string | null, readonly requestedBy: string | null, readonly files: ReadonlyArray<{ readonly kind: FileKind, readonly name: string, readonly sha256: string }>, readonly delivery: { readonly state: DeliveryState, readonly files: ReadonlyArray<{ readonly kind: FileKind, readonly remotePath: string, readonly deliveredAt: string, readonly verified: string }> } | null }, readonly raw: { readonly line: number, readonly data: Readonly<Record<string, unknown>> | null, readonly corrects: { readonly errorReason: string | null, readonly line: number, readonly run: { readonly id: string, readonly runId: string } | null } | null } | null } | null, readonly changes: { readonly nodes: ReadonlyArray<{ readonly key: string, readonly change: ChangeKind, readonly at: string, readonly runId: string, readonly missing: string | null, readonly run: { readonly id: string } | null, readonly differences: ReadonlyArray<{ readonly field: string, readonly before: Readonly<Record<string, unknown>> | null, readonly after: Readonly<Record<string, unknown>> | null }> | null }>, readonly pageInfo: { readonly hasPreviousPage: boolean } }, readonly invalid: ReadonlyArray<{ readonly line: number, readonly errorReason: string | null, readonly insertionDate: string, readonly runId: string, readonly run: { readonly id: string } | null, readonly corrections: ReadonlyArray<{ readonly runId: string, readonly run: { readonly id: string } | null }> }> } | null };

export type ReplayMutationVariables = Exact<{
  runId: string;
  patches: ReadonlyArray<RecordPatch> | RecordPatch;
  dryRun?: boolean | null | undefined;
}>;


export type ReplayMutation = { readonly replayInvalidRecords:
    | { readonly __typename: 'InvalidPatch', readonly path: string, readonly message: string }
    | { readonly __typename: 'ReplayDryRun', readonly verdicts: ReadonlyArray<{ readonly recordId: string, readonly valid: boolean, readonly problems: ReadonlyArray<string> }> }
    | { readonly __typename: 'ReplayInvalidRecordsSuccess', readonly runId: string, readonly verdicts: ReadonlyArray<{ readonly recordId: string, readonly valid: boolean, readonly problems: ReadonlyArray<string> }> }
    | { readonly __typename: 'RunAlreadyActive', readonly message: string }
    | { readonly __typename: 'RunNotFound', readonly message: string }
    | { readonly __typename: 'RunNotLoaded', readonly message: string }
    | { readonly __typename: 'ServiceUnavailable', readonly message: string }
   };

export type VerdictFragment = { readonly recordId: string, readonly valid: boolean, readonly problems: ReadonlyArray<string> };

export type RulesQueryVariables = Exact<{
  name: string;
}>;


export type RulesQuery = { readonly pipeline: { readonly name: string, readonly rules: Readonly<Record<string, unknown>> | null, readonly fields: ReadonlyArray<{ readonly field: string, readonly kind: string, readonly wanted: string, readonly minimum: number | null, readonly maximum: number | null, readonly pattern: string | null }> } | null };

export type RunQueryVariables = Exact<{
  id?: string | null | undefined;
  runId?: string | null | undefined;
}>;


export type RunQuery = { readonly etlRun: { readonly source: string | null, readonly finishedAt: string | null, readonly id: string, readonly runId: string, readonly pipeline: string, readonly runTimestamp: string, readonly status: RunStatus, readonly requestedBy: string | null, readonly startedAt: string | null, readonly durationMs: number | null, readonly validCount: number | null, readonly invalidCount: number | null, readonly phases: ReadonlyArray<{ readonly phase: Phase, readonly startedAt: string, readonly finishedAt: string | null, readonly durationMs: number | null, readonly records: number | null, readonly recordsPerSecond: number | null, readonly attempts: number }>, readonly events: ReadonlyArray<{ readonly id: string, readonly at: string, readonly runId: string, readonly actor: string, readonly type: string, readonly phase: Phase | null, readonly attempt: number | null, readonly reason: string | null, readonly requestedBy: string | null, readonly detail: Readonly<Record<string, unknown>> | null }>, readonly files: ReadonlyArray<{ readonly kind: FileKind, readonly name: string, readonly sha256: string, readonly bytes: number, readonly records: number }>, readonly delivery: { readonly state: DeliveryState, readonly deliveredAt: string | null, readonly error: string | null, readonly files: ReadonlyArray<{ readonly remotePath: string, readonly bytes: number, readonly verified: string, readonly encrypted: boolean }> } | null, readonly reasons: ReadonlyArray<{ readonly reason: string, readonly count: number }>, readonly lookupGaps: ReadonlyArray<{ readonly department: string, readonly count: number }>, readonly completeness: { readonly announced: number | null, readonly received: number, readonly missing: number, readonly repeated: number } | null, readonly failure: { readonly phase: Phase | null, readonly reason: string, readonly retryable: boolean } | null, readonly hold: { readonly reason: string, readonly heldAt: string, readonly validCount: number, readonly invalidCount: number, readonly samples: ReadonlyArray<Readonly<Record<string, unknown>>>, readonly decision: HoldDecision | null, readonly decidedBy: string | null, readonly decidedAt: string | null, readonly comparedWith: { readonly id: string, readonly runId: string, readonly validCount: number | null, readonly invalidCount: number | null } | null } | null, readonly changes: { readonly added: number, readonly changed: number, readonly removed: number, readonly restored: number } | null, readonly corrections: ReadonlyArray<{ readonly id: string, readonly runId: string, readonly pipeline: string, readonly runTimestamp: string, readonly status: RunStatus, readonly requestedBy: string | null, readonly startedAt: string | null, readonly durationMs: number | null, readonly validCount: number | null, readonly invalidCount: number | null, readonly delivery: { readonly state: DeliveryState } | null, readonly correctionOf: { readonly id: string, readonly runId: string } | null, readonly since: { readonly from: string, readonly to: string | null } | null }>, readonly supersededBy: { readonly id: string, readonly runId: string } | null, readonly correctionOf: { readonly id: string, readonly runId: string } | null, readonly since: { readonly from: string, readonly to: string | null } | null } | null };

export type EventFragment = { readonly id: string, readonly at: string, readonly runId: string, readonly actor: string, readonly type: string, readonly phase: Phase | null, readonly attempt: number | null, readonly reason: string | null, readonly requestedBy: string | null, readonly detail: Readonly<Record<string, unknown>> | null };

export type RunsQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
  pipeline?: string | null | undefined;
}>;


export type RunsQuery = { readonly etlRunsConnection: { readonly totalCount: number, readonly nodes: ReadonlyArray<{ readonly id: string, readonly runId: string, readonly pipeline: string, readonly runTimestamp: string, readonly status: RunStatus, readonly requestedBy: string | null, readonly startedAt: string | null, readonly durationMs: number | null, readonly validCount: number | null, readonly invalidCount: number | null, readonly delivery: { readonly state: DeliveryState } | null, readonly correctionOf: { readonly id: string, readonly runId: string } | null, readonly since: { readonly from: string, readonly to: string | null } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type RunEventsSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type RunEventsSubscription = { readonly runEvents: { readonly id: string, readonly at: string, readonly runId: string, readonly actor: string, readonly type: string, readonly phase: Phase | null, readonly attempt: number | null, readonly reason: string | null, readonly requestedBy: string | null, readonly detail: Readonly<Record<string, unknown>> | null } };

