/**
 * `deno task docs`: fails if an exported name of a port or a contract has no doc comment. `deno doc --lint` finds them;
 * its other rules (explicit types on every zod constant, no type of a library in a signature) are for published
 * packages.
 */
import { complain, EXIT, runCommand } from "../cli/command_line.ts";

/** Modules that other folders depend on. Elsewhere a comment is written only if it adds something. */
const PORTS = [
  "shared/contracts",
  "shared/channel/channel.ts",
  "shared/files/documents.ts",
  "shared/files/files.ts",
  "shared/files/state.ts",
  "shared/errors",
  "shared/actor/actor.ts",
  "shared/pipeline/mod.ts",
  "shared/store/store.ts",
];

/** The modules of a file or folder; none if it doesn't exist. */
async function modulesOf(path: string): Promise<string[]> {
  const facts = await Deno.stat(path).catch(() => undefined);
  if (!facts?.isDirectory) return facts === undefined ? [] : [path];
  const names = Array.from(Deno.readDirSync(path), ({ name }) => `${path}/${name}`);
  return names.filter((name) => /(?<!_test)\.tsx?$/.test(name));
}

if (import.meta.main) {
  await runCommand({ help: "deno task docs" }, async () => {
    const files = (await Promise.all(PORTS.map(modulesOf))).flat();
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["doc", "--lint", ...files],
      env: { NO_COLOR: "1" },
    }).output();
    if (success) return EXIT.ok;
    const findings = new TextDecoder().decode(stderr).split(/\n(?=error)/);
    const missing = findings.filter((finding) => finding.startsWith("error[missing-jsdoc]"));
    if (missing.length > 0) {
      complain(missing.join("\n"));
      complain(`${missing.length} exported name(s) without a doc comment. Say what each promises.`);
      return EXIT.failed;
    }
    if (findings.some((finding) => /error: Found \d+ documentation lint error/.test(finding))) return EXIT.ok;
    complain(findings.join("\n"));
    return EXIT.failed;
  });
}
