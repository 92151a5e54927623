/**
 * What happens to machines: chosen at random, from a seed, so that the same choice can be made again.
 *
 * @module
 */
import type { Service } from "../../cli/services.ts";
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { type Cluster, LEASE_SECONDS } from "./cluster.ts";
import { type Machine, ServiceMachine } from "./machine.ts";
import type { Cut } from "./network.ts";

/** A fault at one machine. */
export interface Fault {
  readonly kind: Kind;
  /** The machines that do the same, in random order; one that works at that moment is hit, if any does. */
  readonly role: readonly Machine[];
  /** When it begins: as a share of the time that runs take undisturbed, or of a second from when one of the role works. */
  readonly after: number;
  readonly lastsMs: number;
  /** Whether a machine with a service that is killed comes back without its disk. */
  readonly empties: boolean;
}

/**
 * What happens to a machine. `killed unheard`: Redis stands still while it works on, so that it is killed between what it did and what it says of it;
 * `killed unwritten`: the engine that it writes to stands still, so that it is killed before anything is done.
 */
type Kind = "killed" | "killed unheard" | "killed unwritten" | "stopped" | Cut;

/** What happens to services and engines alike. */
const KINDS: readonly Kind[] = ["killed", "link down", "packets vanish", "stopped"];

/** What happens to those that work on runs. */
const AT_WORK: readonly Kind[] = ["killed unheard", "killed unwritten"];

/** The services that work on runs, and the engine that each writes to. */
const WRITES_TO: Partial<Record<Service, string>> = {
  extractor: "files",
  transformer: "files",
  saver: "postgres",
};

/** The actors whose work moves a run on. */
const WORKERS: readonly string[] = ["extractor", "transformer", "saver", "courier"];

const LEASE_MS = LEASE_SECONDS * 1_000;

/** How long the directory may take to say who works, and how often it is asked, in milliseconds. */
const ANSWER_MS = 500;
const ASK_EVERY_MS = 20;

/** Who works says so again sooner; what a machine said before it died stays for an hour. */
const FRESH_MS = LEASE_MS / 2;

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws what is in `all` in random order, each once, and then again. */
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
 * Rounds of one to three faults, `count` in all. Of ten that follow one another each is of another kind: six of services, four of engines; of
 * 50 each kind comes at each service and each engine. Half of them end before the lease does.
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

/** Makes faults, at most one at a machine at a time. */
export class Faults {
  readonly #hurt = new Set<Machine>();

  constructor(
    private readonly cluster: Cluster,
    private readonly channel: Channel,
    private readonly say: (line: string) => void,
  ) {}

  /** Waits for the fault's time, of runs that take `spanMs`; makes it, and ends it. */
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
      await pause(kind === "killed unheard" ? spanMs : after * 1_000); // unheard, it does all that it can
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

  /** The engine that stands still meanwhile, if any does. */
  #stillAt(kind: Kind, [machine]: readonly Machine[]): Machine | undefined {
    if (!AT_WORK.includes(kind)) return undefined;
    const name = kind === "killed unheard" ? "redis" : WRITES_TO[(machine as ServiceMachine).service];
    return this.cluster.engines.find(({ host }) => host.name === name)!;
  }

  /** A machine among `role` that works on a run, as far as the directory says. */
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
