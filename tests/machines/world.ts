/**
 * A world of one's own for a program: its own network, mounts and process numbers, and a folder. When the program ends, however it ends, the
 * kernel ends all that it started and takes its network apart; then the folder is removed.
 *
 * @module
 */
import { PACKAGES, placeOf, type Program, SWIFT } from "../support/needs.ts";
import { childrenOf } from "../support/processes.ts";

/** Variable with the world's folder, for the program inside. */
const FOLDER = "ETL_DRILL_WORLD";

/** Everything but this process's own files and users is new; its init waits for orphans, too. */
const ENTER = [
  ...["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", "-c", 'ip link set lo up; "$@"; exit $?', "sh"],
];

const NEEDED: readonly Program[] = ["ip", "redis-server", "postgres", "sshd", ...SWIFT];

/** The folder of the world that this program runs in; undefined where it has none. */
export function worldFolder(): string | undefined {
  return Deno.env.get(FOLDER);
}

/** Why this machine allows no such world; undefined where it does. */
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

/** Runs the main module again in a world of its own with these arguments, and answers its exit code. SIGINT and SIGTERM end that world. */
export async function runInWorld(permissions: readonly string[], args: readonly string[]): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "machines-" });
  try {
    await Deno.chmod(folder, 0o755); // servers run as users of their own
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
