/**
 * What happens to machines: chosen at random, from a seed, so that the same choice can be made again.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { type Cluster, LEASE_SECONDS } from "./cluster.ts";
import { type Machine, ServiceMachine } from "./machine.ts";

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

type Kind = "killed" | "link down" | "packets vanish" | "stopped";
const KINDS: readonly Kind[] = ["killed", "link down", "packets vanish", "stopped"];

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
 * Rounds of one to three faults, `count` in all. Of eight that follow one another each is of another kind: four of services, four of engines; of
 * 40 each kind comes at each service and each engine. Half of them end before the lease does.
 */
export function planOf({ services, engines }: Cluster, count: number, random: () => number): Fault[][] {
  const roles = [
    [...Map.groupBy(services, ({ service }) => service).values()],
    engines.map((engine) => [engine]),
  ];
  const next = deckOf(
    KINDS.flatMap((kind) => roles.map((of) => ({ kind, role: deckOf<readonly Machine[]>(of, random) }))),
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
    const latest = performance.now() + spanMs;
    let working: Machine | undefined;
    if (role.some((one) => one instanceof ServiceMachine && one.service !== "api")) {
      while (working === undefined && performance.now() < latest) {
        await pause(ASK_EVERY_MS);
        working = await this.#working(role);
      }
      await pause(after * 1_000);
    } else await pause(after * spanMs);
    const machine = [working, ...role, ...this.cluster.services].find((one) =>
      one !== undefined && !this.#hurt.has(one)
    )!;
    const { host } = machine;
    this.#hurt.add(machine);
    const isEmptied = kind === "killed" && empties && machine instanceof ServiceMachine;
    const words = [host.name, ...machine === working ? ["at work:"] : [], kind];
    this.say(`${words.join(" ")} for ${(lastsMs / 1000).toFixed(1)} s${isEmptied ? ", disk lost" : ""}`);
    if (kind === "killed") {
      await machine.kill();
      await pause(lastsMs);
      if (isEmptied) await machine.install();
      await machine.start();
    } else if (kind === "stopped") {
      await host.signal("SIGSTOP");
      await pause(lastsMs);
      await host.signal("SIGCONT");
    } else {
      await host.cut(kind);
      await pause(lastsMs);
      await host.join();
    }
    this.#hurt.delete(machine);
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
