/**
 * A machine with one service of the pipeline: its folder is all that it sees of the others' disks, and its name is its own.
 *
 * @module
 */
import { commandOf, type Environment, environmentOf, type Service } from "../../cli/services.ts";
import type { Pipelines } from "../../shared/pipeline/load.ts";
import { commandOn } from "../support/host.ts";
import { linesOf } from "../support/output.ts";
import type { NetworkHost } from "./network.ts";

/** What its log says when the service ended by itself. */
const ENDED = "the service ended, and is started again";

/** What can be killed and started again, cut off, and stopped for a while. */
export interface Machine {
  readonly host: NetworkHost;
  /** Ends all that runs on it, as a power cut would. */
  kill(): Promise<void>;
  /** Starts it with what is on its disk. */
  start(): Promise<void>;
}

/**
 * Puts its own folder where all machines have theirs, hides those of the others, and keeps the service running, as machines do. Fails where it
 * sees a folder of another one.
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

/** Lines of its log that are kept. */
const KEPT = 2_000;

/** A machine with one service. */
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
    /** Puts into its folder what an administrator would. */
    private readonly furnish: (folder: string) => Promise<void>,
  ) {}

  /** Makes its disk empty, but for what an administrator puts there. */
  async install(): Promise<void> {
    await Deno.mkdir(this.#disk, { recursive: true });
    for await (const { name } of Deno.readDir(this.#disk)) {
      await Deno.remove(`${this.#disk}/${name}`, { recursive: true });
    }
    await this.furnish(this.#disk);
  }

  /** Starts the service, and doesn't wait until it is ready. */
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

  /** How often the service ended by itself. */
  get ends(): number {
    return this.#ends;
  }

  /** The last lines that tell of trouble. */
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
