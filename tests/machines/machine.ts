/**
 * A machine with one service. It sees only its own folder of the machines' disks, and has its own host name.
 *
 * @module
 */
import { commandOf, type Environment, environmentOf, type Service } from "../../cli/services.ts";
import type { Pipelines } from "../../shared/pipeline/load.ts";
import { commandOn } from "../support/host.ts";
import { linesOf } from "../support/output.ts";
import type { NetworkHost } from "./network.ts";

/** The log line after an unexpected end of the service. */
const ENDED = "the service ended, and is started again";

/** A machine that can be killed and restarted, cut off, and stopped for a while. */
export interface Machine {
  readonly host: NetworkHost;
  /** Kills all its processes, as a power cut would. */
  kill(): Promise<void>;
  /** Starts it with the content of its disk. */
  start(): Promise<void>;
}

/**
 * Mounts the machine's folder at the path that is common to all machines, hides the folders of the others,
 * and restarts the service whenever it ends. Fails if the folder of another machine is visible.
 */
const BOOT = `set -e
hostname "$1"
mount --bind "$2/disks/$1" "$2/home"
for hidden in "$2/disks" "$2/servers"; do
  mount -t tmpfs tmpfs "$hidden"
  [ -z "$(ls -A "$hidden")" ]
done
cd "$2/home"
shift 2
while :; do
  "$@" 2>&1 || true
  echo '${ENDED}'
  sleep 1
done
`;

/** The number of log lines to keep. */
const KEPT = 2_000;

export class ServiceMachine implements Machine {
  #ends = 0;
  #ended: Promise<unknown> = Promise.resolve();
  readonly #lines: string[] = [];

  constructor(
    readonly host: NetworkHost,
    readonly service: Service,
    private readonly world: string,
    private readonly env: Environment,
    private readonly pipelines: Pipelines,
    /** Adds the files to its folder that an administrator would. */
    private readonly furnish: (folder: string) => Promise<void>,
  ) {}

  /** Empties its disk, except for an administrator's files. */
  async install(): Promise<void> {
    await Deno.mkdir(this.#disk, { recursive: true });
    for await (const { name } of Deno.readDir(this.#disk)) {
      await Deno.remove(`${this.#disk}/${name}`, { recursive: true });
    }
    await this.furnish(this.#disk);
  }

  /** Starts the service without waiting until it is ready. */
  start(): Promise<void> {
    const own = environmentOf(this.service, this.env, this.pipelines);
    const set = Object.entries(own).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const process = commandOn(this.host, "unshare", {
      args: [
        ...["--mount", "--uts", "sh", "-c", BOOT, "sh", this.host.name, this.world],
        ...[Deno.execPath(), ...commandOf(this.service, this.env, this.pipelines)],
      ],
      env: Object.fromEntries(set),
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#ended = Promise.all([process.status, this.#listen(process.stdout)]);
    return Promise.resolve();
  }

  async kill(): Promise<void> {
    await this.host.signal("SIGKILL");
    await this.#ended;
  }

  /** How often the service ended unexpectedly. */
  get ends(): number {
    return this.#ends;
  }

  /** Returns the last log lines with warnings and errors. */
  complaints(count: number): string[] {
    return this.#lines.filter((line) => !/"level":"(INFO|DEBUG)"/.test(line)).slice(-count);
  }

  get #disk(): string {
    return `${this.world}/disks/${this.host.name}`;
  }

  async #listen(output: ReadableStream<Uint8Array>): Promise<void> {
    for await (const line of linesOf(output)) {
      this.#lines.push(line);
      if (line === ENDED) this.#ends += 1;
      if (this.#lines.length > KEPT) this.#lines.splice(0, KEPT / 2);
    }
  }
}
