/**
 * A network of machines: a switch, and for each machine a network namespace with a cable to it. Created
 * inside a world (world.ts), which removes it at the end.
 *
 * @module
 */
import type { Host } from "../support/host.ts";

/** The address of the world itself, which has the switch. */
const OWN = "10.77.0.1";
const SWITCH = "switch";

/** How a machine is cut off: its link goes down, which its kernel notices, or packets vanish, which nothing notices. */
export type Cut = "link down" | "packets vanish";

export class NetworkHost implements Host {
  readonly enter: readonly string[];

  private constructor(
    readonly name: string,
    readonly address: string,
    /** Path of its network namespace. */
    private readonly space: string,
  ) {
    this.enter = ["nsenter", `--net=${space}`];
  }

  /** Creates a machine with the address number `number`. */
  static async make(folder: string, name: string, number: number): Promise<NetworkHost> {
    const space = `${folder}/${name}.net`;
    await Deno.writeTextFile(space, "");
    await run("unshare", `--net=${space}`, "true");
    const host = new NetworkHost(name, `10.77.0.${number}`, space);
    await ip("link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", space);
    await ip("link", "set", name, "master", SWITCH, "up");
    await host.#ip("link", "set", "lo", "up");
    await host.#ip("addr", "add", `${host.address}/24`, "dev", "eth0");
    await host.#ip("link", "set", "eth0", "up");
    return host;
  }

  /** Cuts it off from all others. Its processes keep running, and its connections stay open. */
  async cut(how: Cut): Promise<void> {
    if (how === "link down") await ip("link", "set", this.name, "down");
    else await ip("link", "set", this.name, "nomaster");
  }

  async join(): Promise<void> {
    await ip("link", "set", this.name, "master", SWITCH, "up");
  }

  /** Sends a signal to all of its processes. */
  async signal(signal: Deno.Signal): Promise<void> {
    for (const pid of await this.#pids()) {
      try {
        Deno.kill(pid, signal);
      } catch {
        // it has already ended
      }
    }
  }

  async #pids(): Promise<number[]> {
    const [space] = (await run("stat", "--format=%i", this.space)).split("\n");
    const found = await run("find", "/proc", ...["-mindepth", "3"], ...["-maxdepth", "3"], ...[
      ...["-path", "/proc/[0-9]*/ns/net", "-lname", `net:\\[${space}\\]`],
    ]).catch((error: Failed) => error.output); // fails if processes end in the meantime
    return found.split("\n").filter((line) => line !== "").map((path) => Number(path.split("/")[2]));
  }

  #ip(...args: string[]): Promise<string> {
    return run(...[...this.enter, "ip", ...args] as [string, ...string[]]);
  }
}

/** Creates the switch, and connects the world itself to it. */
export async function makeSwitch(): Promise<void> {
  await ip("link", "add", "name", SWITCH, "type", "bridge");
  await ip("addr", "add", `${OWN}/24`, "dev", SWITCH);
  await ip("link", "set", SWITCH, "up");
}

/** A command that failed, with its output. */
class Failed extends Error {
  constructor(message: string, readonly output: string) {
    super(message);
  }
}

function ip(...args: string[]): Promise<string> {
  return run("ip", ...args);
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  const [output, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [
    string,
    string,
  ];
  if (!success) throw new Failed(`${program} ${args.join(" ")} failed: ${complaint.trim()}`, output);
  return output;
}
