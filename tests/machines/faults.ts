/**
 * Faults of machines, chosen at random from a seed, so that a choice can be repeated.
 *
 * @module
 */
import type { Service } from "../../cli/services.ts";
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { type Cluster, LEASE_SECONDS } from "./cluster.ts";
import { type Machine, ServiceMachine } from "./machine.ts";
import type { Cut } from "./network.ts";

export interface Fault {
  readonly kind: Kind;
  /** The machines with the same service or engine, in random order. The fault prefers a machine that is at work. */
  readonly role: readonly Machine[];
  /**
   * When the fault starts: as a share of the duration of an undisturbed run, or of a second after a machine
   * of the role starts to work.
   */
  readonly after: number;
  readonly lastsMs: number;
  /** Whether a killed machine with a service restarts with an empty disk. */
  readonly empties: boolean;
}

/**
 * The kinds of faults. `killed unheard`: Redis is stopped while the machine works, so that the machine dies
 * between its work and the report of it. `killed unwritten`: the engine that the machine writes to is
 * stopped, so that the machine dies before it has written anything.
 */
type Kind = "killed" | "killed unheard" | "killed unwritten" | "stopped" | Cut;

/** The faults of services and engines alike. */
const KINDS: readonly Kind[] = ["killed", "link down", "packets vanish", "stopped"];

/** The faults of services that process runs. */
const AT_WORK: readonly Kind[] = ["killed unheard", "killed unwritten"];

/** The services that process runs, and the engine that each writes to. */
const WRITES_TO: Partial<Record<Service, string>> = {
  extractor: "files",
  transformer: "files",
  saver: "postgres",
};

/** The actors that process runs. */
const WORKERS: readonly string[] = ["extractor", "transformer", "saver", "courier"];

const LEASE_MS = LEASE_SECONDS * 1_000;

/** The longest wait for the directory, and the interval between requests, in milliseconds. */
const ANSWER_MS = 500;
const ASK_EVERY_MS = 20;

/** Working actors send beats more often than this. The beats of a machine that died stay for an hour. */
const FRESH_MS = LEASE_MS / 2;

/** Returns a generator of numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws the items of `all` in random order, each once, then starts over. */
function deckOf<T>(all: readonly T[], random: () => number): () => T {
  let left: T[] = [];
  return () => {
    if (left.length === 0) left = shuffled(all, random);
    return left.pop()!;
  };
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  return all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at).map(({ one }) => one);
}

/**
 * Plans rounds of one to three faults, `count` in all. Each block of ten faults contains each kind once: six
 * of services, four of engines. 50 faults contain each kind for each service and each engine. About half of
 * the faults end before the lease does.
 */
export function planOf({ services, engines }: Cluster, count: number, random: () => number): Fault[][] {
  const copies = Map.groupBy(services, ({ service }) => service);
  const roles = [[...copies.values()], engines.map((engine) => [engine])];
  const working = [...copies].filter(([service]) => service in WRITES_TO).map(([, machines]) => machines);
  const next = deckOf(
    [
      ...KINDS.flatMap((kind) => roles.map((of) => ({ kind, of }))),
      ...AT_WORK.map((kind) => ({ kind, of: working })),
    ].map(({ kind, of }) => ({ kind, role: deckOf<readonly Machine[]>(of, random) })),
    random,
  );
  const rounds: Fault[][] = [];
  for (let left = count; left > 0;) {
    const size = Math.min(left, 1 + Math.floor(random() * 3));
    rounds.push(Array.from({ length: size }, () => {
      const { kind, role } = next();
      const isShort = random() < 0.5;
      return {
        kind,
        role: shuffled(role(), random),
        after: random(),
        lastsMs: Math.round(LEASE_MS * (isShort ? random() * 0.7 : 1.3 + random() * 2)),
        empties: random() < 0.5,
      };
    }));
    left -= size;
  }
  return rounds;
}

/** Injects faults, at most one per machine at a time. */
export class Faults {
  readonly #hurt = new Set<Machine>();

  constructor(
    private readonly cluster: Cluster,
    private readonly channel: Channel,
    private readonly say: (line: string) => void,
  ) {}

  /** Waits for the fault's time, then injects it and ends it. `spanMs` is the duration of a run. */
  async suffer({ kind, role, after, lastsMs, empties }: Fault, spanMs: number): Promise<void> {
    const { services } = this.cluster;
    const still = this.#stillAt(kind, role);
    if (still !== undefined) {
      while (this.#hurt.has(still)) await pause(ASK_EVERY_MS);
      this.#hurt.add(still);
    }
    const latest = performance.now() + spanMs;
    let working: Machine | undefined;
    if (role.some((one) => one instanceof ServiceMachine && one.service !== "api")) {
      while (working === undefined && performance.now() < latest) {
        await pause(ASK_EVERY_MS);
        working = await this.#working(role);
      }
      if (still === undefined) await pause(after * 1_000);
    } else await pause(after * spanMs);
    const machine = [working, ...role, ...services].find((one) => one !== undefined && !this.#hurt.has(one))!;
    const { host } = machine;
    this.#hurt.add(machine);
    const isKilled = kind === "killed" || still !== undefined;
    const isEmptied = isKilled && empties && machine instanceof ServiceMachine;
    const words = [host.name, ...machine === working ? ["at work:"] : [], kind];
    this.say(`${words.join(" ")} for ${(lastsMs / 1000).toFixed(1)} s${isEmptied ? ", disk lost" : ""}`);
    if (still !== undefined) {
      await still.host.signal("SIGSTOP");
      await pause(kind === "killed unheard" ? spanMs : after * 1_000); // an unheard machine finishes its work in the meantime
    }
    if (isKilled) {
      await machine.kill();
      if (still !== undefined) {
        await still.host.signal("SIGCONT");
        this.#hurt.delete(still);
      }
      await pause(lastsMs);
      if (isEmptied) await machine.install();
      await machine.start();
    } else if (kind === "stopped") {
      await host.signal("SIGSTOP");
      await pause(lastsMs);
      await host.signal("SIGCONT");
    } else {
      await host.cut(kind as Cut);
      await pause(lastsMs);
      await host.join();
    }
    this.#hurt.delete(machine);
  }

  /** Returns the engine that is stopped during the fault, if any. */
  #stillAt(kind: Kind, [machine]: readonly Machine[]): Machine | undefined {
    if (!AT_WORK.includes(kind)) return undefined;
    const name = kind === "killed unheard" ? "redis" : WRITES_TO[(machine as ServiceMachine).service];
    return this.cluster.engines.find(({ host }) => host.name === name)!;
  }

  /** Returns a machine of `role` that processes a run according to the directory. */
  async #working(role: readonly Machine[]): Promise<Machine | undefined> {
    const beats = await Promise.race([this.channel.beats().catch(() => []), pause(ANSWER_MS)]) ?? [];
    const since = Date.now() - FRESH_MS;
    const working = beats.filter(({ actor, state, at }) =>
      WORKERS.includes(actor) && state === "working" && at > since
    );
    const names = new Set(working.map(({ host }) => host));
    return role.find((one) => !this.#hurt.has(one) && names.has(one.host.name));
  }
}
