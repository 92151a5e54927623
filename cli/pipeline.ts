import { ask, RunActive } from "../shared/actor/ask.ts";
import { PATIENCE_MS } from "../shared/actor/follow.ts";
import { pause } from "../shared/actor/backoff.ts";
import type { Channel } from "../shared/channel/channel.ts";
import { openChannel } from "../shared/channel/open.ts";
import { loadConfig } from "../shared/config/config.ts";
import { redisUrlOf, storePlaceOf } from "../shared/config/variables.ts";
import { isFinal, type RunEvent, statusAfter } from "../shared/contracts/messages.ts";
import { ConfigError, TransientError } from "../shared/errors/errors.ts";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import { resolved, variablesOf } from "../shared/pipeline/resolve.ts";
import { lookupGapsOf } from "../shared/store/timeline.ts";
import {
  type CommandLine,
  complain,
  EXIT,
  isTerminal,
  numberOf,
  runCommand,
  say,
  unknownPipeline,
  UsageError,
  write,
} from "./command_line.ts";
import { MOST_USERS, SAMPLE_LISTS } from "../local/source/server.ts";
import { misspellings, readEnvironment } from "./env_file.ts";
import { PartFailed, startPipeline, type Supervisor } from "./supervisor.ts";
import { heldRunOf, sayingWhatHolds } from "./held_run.ts";
import { holderOf, isFree, nextFree, requireFree } from "./port.ts";
import { showing } from "./progress.ts";
import { type Environment, pipelinesOf, problemsOf, SERVICES, VARIABLES } from "./services.ts";
import { openStoreToRead, shownPlace } from "../shared/store/open.ts";
import type { ReadStore } from "../shared/store/store.ts";

const KNOWN = [...new Set(SERVICES.flatMap((service) => Object.keys(VARIABLES[service])))];

const HELP = `deno task start | run [NAME]… [--patience SECONDS] | demo [--once] [--users N] [--bad SHARE]

  start          the four services under one supervisor, until Ctrl-C
  run            one run in the foreground of each pipeline NAME, then exit; without a name of users and of all
                 pipelines that have a schedule
    --patience S   fails when the run makes no progress for S seconds, default 1800
  demo           everything offline with a sample source: a run of each of its lists, then it stays up
    --once         exits after the runs
    --users N      users of the sample source, default 208
    --bad SHARE    share of them that breaks a rule, from 0 to 1, default 0

Exit codes: 0 COMPLETED or stopped in order; 1 FAILED; 2 a command or configuration that can't be used.`;

const USAGE = HELP.split("\n", 1)[0]!;

const OPTIONS = {
  patience: { type: "string" },
  once: { type: "boolean" },
  users: { type: "string" },
  bad: { type: "string" },
} as const;

async function main({ values, words: [mode, ...names] }: CommandLine<typeof OPTIONS>): Promise<number> {
  if (mode !== "start" && mode !== "run" && mode !== "demo") {
    throw new UsageError(`Cannot do ${JSON.stringify(mode ?? "")}: wanted start, run or demo.`);
  }
  for (const option of Object.keys(values)) {
    const taker = option === "patience" ? "run" : "demo";
    if (mode === taker) continue;
    throw new UsageError(
      `Cannot use --${option} with ${mode}: only ${taker} takes it.\nUsage: deno task ${mode}`,
    );
  }
  if (names.length > 0 && mode !== "run") {
    throw new UsageError(`Cannot use the argument ${JSON.stringify(names[0])}.\nUsage: ${USAGE}`);
  }
  const sample = {
    once: values.once ?? false,
    users: numberOf("users", values.users ?? "208", { max: MOST_USERS }),
    bad: numberOf("bad", values.bad ?? "0", { max: 1, whole: false }),
  };
  const env = await readEnvironment();
  for (const warning of misspellings(env, KNOWN)) complain(`Warning: ${warning}`);
  const problems = problemsOf(SERVICES, env);
  if (problems.length > 0) throw new ConfigError("the pipeline", problems);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => stop.signal.aborted ? Deno.exit(EXIT.failed) : stop.abort());
  }
  if (mode === "run") {
    const patience = numberOf("patience", values.patience ?? `${PATIENCE_MS / 1_000}`, { min: 1 });
    return await runMode(env, await pipelinesToRun(env, names), stop.signal, patience * 1_000);
  }
  const { API_HOST, API_PORT } = loadConfig("api", VARIABLES.api, env);
  if (mode === "demo") {
    const port = API_PORT === 0 || isFree(API_HOST, API_PORT) ? API_PORT : nextFree(API_HOST, API_PORT);
    if (port !== API_PORT) {
      say(`Port ${API_PORT} is in use by ${await holderOf(API_PORT)}; the API listens on ${port}.`);
    }
    return await demoMode({ ...env, API_PORT: String(port) }, stop.signal, sample);
  }
  await requireFree(API_HOST, API_PORT);
  return await startMode(env, stop.signal);
}

/** Runs the four services until a signal. */
async function startMode(env: Environment, signal: AbortSignal): Promise<number> {
  const pretty = (env.LOG_FORMAT || "auto") === "auto" && isTerminal ? { LOG_FORMAT: "pretty" } : {};
  await using supervisor = await startPipeline({
    env: { ...env, ...pretty },
    services: SERVICES,
    onLine: prefixed,
  });
  say(urlsOf(supervisor.env));
  await Promise.race([supervisor.broken, aborted(signal)]);
  return EXIT.ok;
}

/** The named pipelines; by default `users` and all with a schedule. */
async function pipelinesToRun(env: Environment, named: readonly string[]): Promise<string[]> {
  const { plans, broken } = await pipelinesOf(env);
  const problems = [...new Set(named)].flatMap((name) => broken.get(name) ?? []);
  if (problems.length > 0) throw new ConfigError("the pipeline", problems);
  const unknown = named.find((name) => !plans.has(name));
  if (unknown !== undefined) {
    throw unknownPipeline(unknown, [...plans.keys()], "", `\nUsage: ${USAGE}`);
  }
  if (named.length > 0) return [...new Set(named)];
  for (const problem of [...broken.values()].flat()) complain(`Warning: ${problem}`);
  return [...plans.values()].filter(({ name, definition }) => {
    const { value } = resolved(definition.schedule ?? "off", (variable) => env[variable]);
    return name === DEFAULT_PIPELINE || value !== "off";
  }).map(({ name }) => name);
}

/** No run starts automatically. */
const UNPLANNED = {
  SCHEDULE: "off",
  SLEEP_INTERVAL_SECONDS: undefined,
  RUN_ON_START: "never",
  SCHEDULE_CATCH_UP_HOURS: "0",
};

/** One run of each pipeline, all concurrently. */
async function runMode(
  env: Environment,
  pipelines: readonly string[],
  signal: AbortSignal,
  patienceMs: number,
): Promise<number> {
  const quiet = { ...UNPLANNED, LOG_LEVEL: env.LOG_LEVEL || "warning" };
  await using channel = await channelOf(env);
  await refuseOverlap(channel);
  const services = SERVICES.filter((service) => service !== "api");
  await using supervisor = await startPipeline({
    env: { ...env, ...quiet },
    services,
    onLine: complaining,
  });
  const codes = await Promise.all(pipelines.map((name) => {
    const tell = (line: string) => say(line.replace(/^(?=.)/gm, `${name}: `));
    const options = pipelines.length === 1 ? {} : { tell };
    return oneRun(supervisor, channel, name, { signal, patienceMs, ...options });
  }));
  if (env.NOTIFY_URL) await notified(channel, signal);
  return Math.max(...codes);
}

/** How long a run in the foreground waits for its notifications, in milliseconds. */
const NOTIFIED_WITHIN_MS = 15_000;

/**
 * Waits until the notifications about the runs have been sent: otherwise they would wait for the next run, which may be
 * a day away.
 */
async function notified(channel: Channel, signal: AbortSignal): Promise<void> {
  const until = performance.now() + NOTIFIED_WITHIN_MS;
  const waiting = async () => {
    for (const name of ["channel:run_events", "channel:notify"]) {
      if ((await channel.mailbox(name).state()).depth > 0) return true;
    }
    return false;
  };
  while (!signal.aborted && await waiting()) {
    if (performance.now() > until) {
      return complain("Notifications wait for their receivers; the next start sends them.");
    }
    await pause(100, signal);
  }
}

async function demoMode(
  env: Environment,
  signal: AbortSignal,
  options: { once: boolean; users: number; bad: number },
): Promise<number> {
  const local = {
    REDIS_URL: undefined,
    REDIS_HOST: undefined,
    SFTP_HOST: undefined,
    ...UNPLANNED,
    HOLD_RUNS: "off",
    LOG_LEVEL: env.LOG_LEVEL || "warning",
  };
  await using supervisor = await startPipeline({
    env: { ...env, ...local },
    services: SERVICES,
    sample: options,
    onLine: complaining,
  });
  await using channel = await channelOf(supervisor.env);
  const served = new Set(Object.keys(SAMPLE_LISTS));
  const { plans } = await pipelinesOf(env);
  const names = [...plans.values()].filter(({ definition }) =>
    variablesOf(definition.source.url).some((name) => served.has(name))
  ).map(({ name }) => name).sort((a, b) => Number(b === DEFAULT_PIPELINE) - Number(a === DEFAULT_PIPELINE));
  for (const [at, name] of names.entries()) {
    if (at > 0) say(`\nPipeline ${name}`);
    const code = await oneRun(supervisor, channel, name, { signal });
    if (code !== EXIT.ok) return code;
  }
  if (options.once) return EXIT.ok;
  say(`\n${urlsOf(supervisor.env)}\nCtrl-C stops it.`);
  await Promise.race([supervisor.broken, aborted(signal)]);
  return EXIT.ok;
}

/** Requests a run, shows it, and summarizes it. */
async function oneRun(
  supervisor: Supervisor,
  channel: Channel,
  pipeline: string,
  { signal, patienceMs = PATIENCE_MS, tell }: {
    signal: AbortSignal;
    patienceMs?: number;
    /** Writes the lines, if several runs are shown at once. */
    tell?: (line: string) => void;
  },
): Promise<number> {
  const heldRun = () => heldRunOf(supervisor.env, pipeline);
  const held = await heldRun();
  if (held !== undefined) {
    complain(new RunActive(held, "is held before its load").message);
    return EXIT.failed;
  }
  const request = { pipeline, requestedBy: "cli", actor: "cli" } as const;
  const requested = ask(channel, request, { queue: true, signal, patienceMs });
  const events = sayingWhatHolds(requested, heldRun, tell ?? say);
  const last = await Promise.race([
    supervisor.broken,
    lastOf(showing(events, channel, tell ?? say, isTerminal && tell === undefined)),
  ]);
  if (last === undefined || statusAfter(last) !== "COMPLETED") {
    complain(whyNotCompleted(last));
    return EXIT.failed;
  }
  (tell ?? say)(await summaryOf(supervisor.env, last.run_id, patienceMs));
  return EXIT.ok;
}

function whyNotCompleted(last: RunEvent | undefined): string {
  switch (last?.type) {
    case undefined:
      return "Stopped before the run ended. The next start resumes it.";
    case "phase_retrying":
      return `The run is loaded, its delivery is pending: ${last.reason} The next start retries it.`;
    case "run_held":
      return `The run is held: ${last.reason} Start the services, and look at it with: deno task etl show ${last.run_id}`;
    default:
      return `The run failed: ${"reason" in last! ? last.reason : last!.type}`;
  }
}

/** The event that ends the wait: the run ended, is held, or its delivery must be retried. */
async function lastOf(events: AsyncIterable<RunEvent>): Promise<RunEvent | undefined> {
  for await (const event of events) {
    const pending = event.type === "phase_retrying" && event.phase === "DELIVERING";
    if (
      pending || event.type === "run_held" || (event.type !== "run_superseded" && isFinal(statusAfter(event)))
    ) return event;
  }
}

/** Refuses while a live extractor works on a run, so that a caller such as cron notices. */
async function refuseOverlap(channel: Channel): Promise<void> {
  const alive = Date.now() - 20_000;
  const busy = (await channel.beats()).find((beat) =>
    beat.actor === "extractor" && beat.state === "working" && beat.at > alive
  );
  if (busy !== undefined) throw new RunActive(busy.current?.runId);
}

/**
 * Waits until the recorder has written the run's end, then summarizes the run. @throws TransientError when that takes
 * too long.
 */
async function summaryOf(env: Environment, runId: string, patienceMs: number): Promise<string> {
  const config = loadConfig("summary", VARIABLES.saver, env);
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (Date.now() > deadline) {
      throw new TransientError(
        `Cannot summarize run ${runId}: it has completed, but the saver hasn't written that to ${
          shownPlace(storePlaceOf(config))
        }. The saver's log says why.`,
      );
    }
    await using store = await openStoreToRead(storePlaceOf(config));
    const text = store && await summary(store, runId);
    if (text !== undefined) return text;
    await pause(20);
  }
}

async function summary(store: ReadStore, runId: string): Promise<string | undefined> {
  const run = await store.runs.byRunId(runId);
  if (run === undefined || !isFinal(run.status)) return undefined;
  const files = (await store.runs.filesOf([runId])).get(runId) ?? [];
  const deliveries = (await store.runs.deliveriesOf([runId])).get(runId) ?? [];
  const gaps = lookupGapsOf((await store.runs.eventsOf([runId])).get(runId) ?? []);
  const unknown = gaps.reduce((sum, gap) => sum + gap.count, 0);
  const looksUp = unknown > 0 || run.pipeline === DEFAULT_PIPELINE;
  return [
    "",
    `Run ${runId} ${run.status}: ${run.valid_count} valid, ${run.invalid_count} invalid${
      looksUp ? `, ${unknown} UNKNOWN` : ""
    }`,
    ...files.map((file) =>
      `  ${file.kind.padEnd(10)} ${file.name} (${file.records} records, ${file.bytes} bytes)`
    ),
    ...deliveries.map((file) => `  delivered  ${file.remote_path}`),
    ...(run.delivery_state === "NOT_CONFIGURED" ? ["  delivery is not configured (SFTP_HOST)"] : []),
  ].join("\n");
}

function channelOf(env: Environment): Promise<Channel> {
  const config = loadConfig("channel", VARIABLES.extractor, env);
  return openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH });
}

function urlsOf(env: Environment): string {
  const { API_HOST, API_PORT } = loadConfig("api", VARIABLES.api, env);
  const base = `http://${API_HOST === "0.0.0.0" || API_HOST === "::" ? "localhost" : API_HOST}:${API_PORT}`;
  return `Dashboard ${base}/\nGraphiQL  ${base}/graphql\nRuns      ${base}/etl_runs`;
}

function prefixed(name: string, line: string): void {
  write(`${name.padEnd(11)} ${line}\n`); // unchanged: a service colours its lines for a terminal
}

/** Shows only warnings and errors beside the progress, so no message that a local server is ready. */
function complaining(name: string, line: string): void {
  if (!/^(Sample source:|SFTP server listens on) /.test(line)) complain(`${name.padEnd(11)} ${line}`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) =>
    signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

if (import.meta.main) {
  await runCommand(
    { help: HELP, options: OPTIONS, words: 50 },
    main,
    (error) => error instanceof PartFailed ? error.code || EXIT.failed : undefined,
  );
}
