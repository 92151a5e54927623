/**
 * What happens to machines: chosen at random, from a seed, so that the same choice can be made again.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import type { Cluster } from "./cluster.ts";
import { LEASE_SECONDS } from "./cluster.ts";
import { type Machine, ServiceMachine } from "./machine.ts";

/** A fault at one machine: when it begins, from the request of the runs, and how long it lasts, in milliseconds. */
export interface Fault {
  readonly kind: Kind;
  readonly machine: Machine;
  readonly afterMs: number;
  readonly lastsMs: number;
  /** Whether a machine that is killed comes back without its disk. */
  readonly empties: boolean;
}

type Kind = "killed" | "link down" | "packets vanish" | "stopped";
const KINDS: readonly Kind[] = ["killed", "link down", "packets vanish", "stopped"];

/** Runs are over by then, undisturbed. */
const RUN_MS = 6_000;
const LEASE_MS = LEASE_SECONDS * 1_000;

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
 * Rounds of one to three faults, `count` in all. Of eight that follow one another each is of another kind: four of services, four of engines. No
 * machine has two in a round.
 */
export function planOf(cluster: Cluster, count: number, random: () => number): Fault[][] {
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const rounds: Fault[][] = [];
  let kinds: [Kind, readonly Machine[]][] = [];
  for (let left = count; left > 0;) {
    const round: Fault[] = [];
    for (let size = Math.min(left, 1 + Math.floor(random() * 3)); size > 0; size--) {
      if (kinds.length === 0) {
        const all = KINDS.flatMap((kind) =>
          [cluster.services, cluster.engines].map((of) => [kind, of] as [Kind, readonly Machine[]])
        );
        kinds = all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at).map(({ one }) => one);
      }
      const [kind, machines] = kinds.pop()!;
      const machine = pick(machines.filter((one) => round.every((other) => other.machine !== one)));
      const isLong = random() < 0.6;
      round.push({
        kind,
        machine,
        afterMs: Math.round(random() * RUN_MS),
        lastsMs: Math.round(isLong ? LEASE_MS * (1.3 + random() * 2) : LEASE_MS * random() * 0.7),
        empties: random() < 0.5,
      });
    }
    rounds.push(round);
    left -= round.length;
  }
  return rounds;
}

/** Waits for the fault's time, makes it, and ends it. */
export async function suffer({ kind, machine, afterMs, lastsMs, empties }: Fault): Promise<void> {
  const { host } = machine;
  await pause(afterMs);
  switch (kind) {
    case "killed":
      await machine.kill();
      await pause(lastsMs);
      if (empties && machine instanceof ServiceMachine) await machine.install();
      return await machine.start();
    case "stopped":
      await host.signal("SIGSTOP");
      await pause(lastsMs);
      return await host.signal("SIGCONT");
    default:
      await host.cut(kind);
      await pause(lastsMs);
      return await host.join();
  }
}

/** The fault in a few words. */
export function nameOf({ kind, machine, afterMs, lastsMs, empties }: Fault): string {
  const isEmpty = kind === "killed" && empties && machine instanceof ServiceMachine;
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return `${machine.host.name} ${kind} after ${seconds(afterMs)} s for ${seconds(lastsMs)} s${
    isEmpty ? ", disk lost" : ""
  }`;
}
