/**
 * A separate world for a program: network, mounts, process numbers and a folder. When the program ends, even
 * if it is killed, the kernel ends all its child processes and removes its network; then the folder is
 * removed.
 *
 * @module
 */
import { PACKAGES, placeOf, type Program, SWIFT } from "../support/needs.ts";
import { childrenOf } from "../support/processes.ts";

/** The variable with the world's folder, for the program inside. */
const FOLDER = "ETL_DRILL_WORLD";

/** Everything is new except for files and users; the init process also reaps orphans. */
const ENTER = [
  ...["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", "-c", 'ip link set lo up; "$@"; exit $?', "sh"],
];

const NEEDED: readonly Program[] = ["ip", "redis-server", "postgres", "sshd", ...SWIFT];

/** Returns the folder of the world in which this program runs, if any. */
export function worldFolder(): string | undefined {
  return Deno.env.get(FOLDER);
}

/** Returns why this machine doesn't allow a world; undefined if it does. */
export async function whyNoWorld(): Promise<string | undefined> {
  const missing = NEEDED.filter((program) => placeOf(program) === undefined);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((program) => PACKAGES[program]))].join(" ");
    return `${missing.join(", ")} missing; on Debian: apt-get install ${packages}`;
  }
  if (Deno.uid() !== 0) return "network namespaces want root";
  const trial =
    "ip link add name one type bridge && ip link add name two type veth peer name three && mount -t tmpfs tmpfs /mnt";
  const { success, stderr } = await new Deno.Command("unshare", {
    args: [...ENTER, "sh", "-c", trial],
    stdout: "null",
  }).output();
  if (success) return undefined;
  return `this machine allows no network namespaces: ${new TextDecoder().decode(stderr).trim()}`;
}

/**
 * Runs the main module again in a new world with these arguments; returns its exit code. SIGINT and SIGTERM
 * end the world.
 */
export async function runInWorld(permissions: readonly string[], args: readonly string[]): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "machines-" });
  try {
    await Deno.chmod(folder, 0o755); // servers run as other users
    for (const name of ["disks", "servers", "home"]) await Deno.mkdir(`${folder}/${name}`);
    const world = new Deno.Command("unshare", {
      args: [...ENTER, Deno.execPath(), "run", "--no-prompt", ...permissions, Deno.mainModule, ...args],
      env: { [FOLDER]: folder, TMPDIR: `${folder}/servers` },
      stdin: "null",
    }).spawn();
    const end = async () => {
      for (const init of await childrenOf(world.pid)) Deno.kill(init, "SIGKILL");
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => void end());
    return (await world.status).code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
