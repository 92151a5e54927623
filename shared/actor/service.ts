/** The lifecycle of every service: configuration, logs, resources closed in reverse order, signals, exit codes. */
import { getLogger, type Logger } from "@logtape/logtape";
import type { Channel } from "../channel/channel.ts";
import { type ConfigOf, environment, loadConfig, type Variables } from "../config/config.ts";
import type { LogVariables } from "../config/variables.ts";
import { ConfigError, messageOf, TransientError } from "../errors/errors.ts";
import { startLogging } from "../telemetry/log.ts";
import { backOff, pause } from "./backoff.ts";
import { endWithParent } from "./parent.ts";

/** Exit codes: 0 done or stopped in order, 1 failed, 2 unusable configuration. */
export const EXIT = { ok: 0, failed: 1, badConfig: 2 } as const;

interface ServiceContext {
  /**
   * Aborted at the first SIGTERM or SIGINT, and when the program that started the service has ended: claim no more
   * work, finish the current message. A second signal ends the process immediately.
   */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Registers a resource that is closed when the service ends, in reverse order, even if the start failed halfway. */
  use<T extends Disposable | AsyncDisposable>(resource: T): T;
}

/**
 * Runs a service: loads its configuration, starts its logs, calls `main`, closes everything, and ends the process with the exit code.
 * `main` returns an exit code, or nothing for 0; an error of `main` is logged and ends the process with 1 (2 for a `ConfigError`).
 */
export async function runService<V extends typeof LogVariables & Variables>(
  name: string,
  variables: V,
  main: (config: ConfigOf<V>, context: ServiceContext) => Promise<number | void>,
): Promise<never> {
  const log = getLogger(["etl", name]);
  const stop = new AbortController();
  const onSignal = () => stop.signal.aborted ? Deno.exit(EXIT.failed) : stop.abort();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, onSignal);
  void endWithParent(() => stop.abort());
  Deno.exit(await live());

  async function live(): Promise<number> {
    try {
      const config = loadConfig(name, variables, environment(variables));
      await startLogging({ level: config.LOG_LEVEL, format: config.LOG_FORMAT });
      await using resources = new AsyncDisposableStack();
      const code = await main(config, {
        signal: stop.signal,
        log,
        use: (resource) => resources.use(resource),
      });
      if (stop.signal.aborted) log.info("stopped");
      return code ?? EXIT.ok;
    } catch (error) {
      if (error instanceof ConfigError) {
        await Deno.stderr.write(new TextEncoder().encode(`${error.message}\n`));
        return EXIT.badConfig;
      }
      log.fatal("service failed", { reason: messageOf(error) });
      await Deno.stderr.write(new TextEncoder().encode(`${name} failed: ${messageOf(error)}\n`));
      return EXIT.failed;
    }
  }
}

/** Calls `then` once everything that is published on `mailboxes` from now on is kept. */
export async function whenListening(
  channel: Channel,
  mailboxes: readonly string[],
  signal: AbortSignal,
  then: () => void,
): Promise<void> {
  await Promise.all(mailboxes.map((mailbox) => channel.listening(mailbox, signal)));
  if (!signal.aborted) then();
}

/** Runs loops concurrently. When one fails, the others are stopped and the failure is thrown. */
export async function runTogether(
  signal: AbortSignal,
  ...loops: ((signal: AbortSignal) => Promise<void>)[]
): Promise<void> {
  const failure = new AbortController();
  const both = AbortSignal.any([signal, failure.signal]);
  const results = await Promise.allSettled(loops.map((loop) =>
    loop(both).catch((error) => {
      failure.abort();
      throw error;
    })
  ));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Repeats `open` while the resource is unavailable, as services are started in any order. */
export async function whenThere<T>(open: () => Promise<T>, signal: AbortSignal, log: Logger): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) throw error;
      log.warning("waiting", { for: error.message });
      await pause(backOff(attempt, { maxMs: 10_000 }), signal);
    }
  }
}
