import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import { RUN_STATUSES } from "../../shared/contracts/messages.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { partsOfTable } from "../../shared/contracts/names.ts";
import { phasesOf } from "../../shared/store/timeline.ts";
import { recordTables, viewPipelines } from "../pipelines.ts";
import type { ApiPorts } from "../ports.ts";
import { completenessOf } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Metrics of runs and mailboxes are read on each request. */
export class Metrics {
  readonly #registry = new Registry();
  /** Duration of answered HTTP requests, in seconds. */
  readonly http: Histogram<"method" | "route" | "status">;
  /** Duration of executed GraphQL operations, in seconds. */
  readonly graphql: Histogram<"operation" | "outcome">;
  readonly subscriptions: Gauge<"subscription">;
  readonly mutations: Counter<"mutation" | "outcome">;

  readonly #measured;

  constructor(private readonly ports: ApiPorts) {
    const registers = [this.#registry];
    this.http = new Histogram({
      name: "etl_http_request_duration_seconds",
      help: "Answered HTTP requests",
      labelNames: ["method", "route", "status"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.graphql = new Histogram({
      name: "etl_graphql_operation_duration_seconds",
      help: "Executed GraphQL operations",
      labelNames: ["operation", "outcome"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.subscriptions = new Gauge({
      name: "etl_graphql_subscriptions",
      help: "Open subscriptions",
      labelNames: ["subscription"],
      registers,
    });
    this.mutations = new Counter({
      name: "etl_graphql_mutations_total",
      help: "Mutations by outcome",
      labelNames: ["mutation", "outcome"],
      registers,
    });
    const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Gauge({ name, help, labelNames, registers });
    this.#measured = {
      runs: gauge("etl_runs", "Runs by status", ["status", "pipeline"]),
      records: gauge("etl_records", "Records in the database", ["table", "pipeline"]),
      phases: gauge("etl_phase_seconds", "How long each phase of the last completed run took", [
        "phase",
        "pipeline",
      ]),
      completeness: gauge(
        "etl_last_run_records",
        "Records of the last completed run by outcome: announced, received, missing, repeated",
        ["outcome", "pipeline"],
      ),
      database: gauge("etl_database_bytes", "Bytes of the database that are in use", []),
      growth: gauge(
        "etl_database_growth_bytes",
        "Bytes that the database grows by a day, over the last 30 days at most",
        [],
      ),
      daysLeft: gauge(
        "etl_database_full_days",
        "Days until the database's disk is full, if this growth continues",
        [],
      ),
      pending: gauge("etl_delivery_pending", "Runs that wait for the SFTP server", []),
      depth: gauge("etl_mailbox_depth", "Messages that are waiting or in progress", ["channel"]),
      age: gauge("etl_mailbox_oldest_seconds", "Age of the oldest such message", ["channel"]),
      dead: gauge("etl_dead_letters", "Messages that failed permanently", ["channel"]),
      channelUp: gauge("etl_channel_up", "Whether the channel answers", []),
      memory: gauge("etl_api_memory_bytes", "Resident memory of the API", []),
    };
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In Prometheus's text format. */
  async text(): Promise<string> {
    await this.#measureRuns();
    await this.#measureMailboxes();
    this.#measured.memory.set(Deno.memoryUsage().rss);
    return await this.#registry.metrics();
  }

  async #measureRuns(): Promise<void> {
    const { runs, records, phases, completeness, pending } = this.#measured;
    const store = await this.ports.store();
    await this.#measureDatabase(store);
    const kept = await store?.records.pipelines();
    const pipelines = viewPipelines(this.ports.pipelines, kept).map(({ name }) => name);
    pending.set(await store?.runs.count({ status: ["DELIVERY_PENDING"] }) ?? 0);
    for (const pipeline of pipelines) {
      for (const status of RUN_STATUSES) {
        runs.set({ status, pipeline }, await store?.runs.count({ status: [status], pipeline }) ?? 0);
      }
    }
    for (const table of recordTables(this.ports.pipelines, kept)) {
      const pipeline = partsOfTable(table)!.pipeline;
      const isThere = await store?.records.has(table) ?? false;
      records.set({ table, pipeline }, isThere ? await store!.records.count(table) : 0);
    }
    phases.reset();
    completeness.reset();
    for (const pipeline of store === undefined ? [] : pipelines) {
      const [last] = await store!.runs.list({ status: ["COMPLETED"], pipeline }, { limit: 1, offset: 0 });
      if (last === undefined) continue;
      for (const [outcome, count] of Object.entries(completenessOf(last) ?? {})) {
        if (count !== null) completeness.set({ outcome, pipeline }, count);
      }
      for (
        const { phase, durationMs } of phasesOf((await store!.runs.eventsOf([last.run_id])).get(last.run_id)!)
      ) {
        if (durationMs !== null) phases.set({ phase, pipeline }, durationMs / 1000);
      }
    }
  }

  async #measureDatabase(store: ReadStore | undefined): Promise<void> {
    const { database, growth, daysLeft } = this.#measured;
    const found = await store?.growth();
    database.set(found?.bytes ?? 0);
    for (const [gauge, value] of [[growth, found?.bytesPerDay], [daysLeft, found?.daysLeft]] as const) {
      if (value == null) gauge.remove();
      else gauge.set(value);
    }
  }

  async #measureMailboxes(): Promise<void> {
    const { depth, age, dead, channelUp } = this.#measured;
    try {
      for (const channel of Object.keys(CHANNELS)) {
        const state = await this.ports.channel.mailbox(channel).state();
        depth.set({ channel }, state.depth);
        age.set({ channel }, (state.oldestAgeMs ?? 0) / 1000);
        dead.set({ channel }, state.dead);
      }
      channelUp.set(1);
    } catch (error) {
      this.ports.log.warning("mailboxes can't be measured", { reason: messageOf(error) });
      channelUp.set(0);
      for (const stale of [depth, age, dead]) stale.reset();
    }
  }
}
