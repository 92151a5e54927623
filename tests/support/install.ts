/**
 * Installs Debian packages.
 *
 * @module
 */
import { placeOf } from "./needs.ts";

/** The packages' own services must not start: tests start their servers on free ports. */
const INSTALL = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
`;

/** Returns the command to become root: empty for root, undefined if that isn't possible. */
async function becomingRoot(): Promise<string[] | undefined> {
  if (Deno.uid() === 0) return [];
  if (placeOf("sudo") === undefined) return undefined;
  const { success } = await new Deno.Command("sudo", { args: ["-n", "true"], stderr: "null" }).output();
  return success ? ["sudo", "-n"] : undefined;
}

/** Returns whether this is a Debian-based system on which this process may install packages. */
export async function canInstall(): Promise<boolean> {
  return placeOf("apt-get") !== undefined && await becomingRoot() !== undefined;
}

/** Installs packages if `canInstall`; returns whether that worked. Errors of apt-get go to standard error. */
export async function installPackages(packages: readonly string[]): Promise<boolean> {
  const [command, ...args] = [...await becomingRoot() ?? [], "sh", "-c", INSTALL, "sh", ...packages];
  const { success } = await new Deno.Command(command!, { args, stdin: "null", stderr: "inherit" }).output();
  return success;
}
