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
  readonly machine: Machine;
  /** Which of those that work on a run is hit instead, if any does at that moment, as a share of their list; undefined: none. */
  readonly atWork: number | undefined;
  /** When it begins, as a share of the time that runs take undisturbed. */
  readonly after: number;
  readonly lastsMs: number;
  /** Whether a machine with a service that is killed comes back without its disk. */
  readonly empties: boolean;
}

type Kind = "killed" | "link down" | "packets vanish" | "stopped";
const KINDS: readonly Kind[] = ["killed", "link down", "packets vanish", "stopped"];

const LEASE_MS = LEASE_SECONDS * 1_000;

/** How long the directory may take to say who works, in milliseconds. */
const ANSWER_MS = 500;

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

/**
 * Rounds of one to three faults, `count` in all. Of eight that follow one another each is of another kind: four of services, four of engines. Half
 * of them end before the lease does.
 */
export function planOf(cluster: Cluster, count: number, random: () => number): Fault[][] {
  const rounds: Fault[][] = [];
  let kinds: [Kind, readonly Machine[]][] = [];
  for (let left = count; left > 0;) {
    const size = Math.min(left, 1 + Math.floor(random() * 3));
    rounds.push(Array.from({ length: size }, () => {
      if (kinds.length === 0) {
        const all = KINDS.flatMap((kind) =>
          [cluster.services, cluster.engines].map((of) => [kind, of] as [Kind, readonly Machine[]])
        );
        kinds = all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at).map(({ one }) => one);
      }
      const [kind, machines] = kinds.pop()!;
      const isShort = random() < 0.5;
      return {
        kind,
        machine: machines[Math.floor(random() * machines.length)]!,
        atWork: machines === cluster.services && random() < 0.6 ? random() : undefined,
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
  async suffer({ kind, after, lastsMs, empties, ...fault }: Fault, spanMs: number): Promise<void> {
    await pause(after * spanMs);
    const working = fault.atWork === undefined ? undefined : await this.#working(fault.atWork);
    const machine = [working, fault.machine, ...this.cluster.services].find((one) =>
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

  /** One of the machines that work on a run, as far as the directory says. */
  async #working(which: number): Promise<Machine | undefined> {
    const beats = await Promise.race([this.channel.beats().catch(() => []), pause(ANSWER_MS)]) ?? [];
    const names = new Set(
      beats.filter(({ state, current }) => state === "working" && current !== undefined).map(({ host }) =>
        host
      ),
    );
    const working = this.cluster.services.filter((one) => !this.#hurt.has(one) && names.has(one.host.name));
    return working[Math.floor(which * working.length)];
  }
}
