/**
 * Fails where an exported name has no doc comment. `deno doc --lint` finds them; what else it wants (explicit types on every zod constant, no
 * type of a library in a signature) is for published packages.
 *
 * @module
 */

const SOURCES = ["extractor", "transformer", "saver", "api", "shared", "scripts"];

async function sources(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await sources(path));
    else if (/(?<!_test)\.tsx?$/.test(entry.name)) found.push(path);
  }
  return found;
}

if (import.meta.main) {
  const files = (await Promise.all(SOURCES.map(sources))).flat();
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...files],
    env: { NO_COLOR: "1" },
  }).output();
  const findings = new TextDecoder().decode(stderr).split(/\n(?=error)/);
  const missing = findings.filter((finding) => finding.startsWith("error[missing-jsdoc]"));
  if (missing.length > 0) {
    const text = `${
      missing.join("\n")
    }\n${missing.length} exported name(s) without a doc comment. Say what each promises.\n`;
    await Deno.stderr.write(new TextEncoder().encode(text));
    Deno.exit(1);
  }
  if (
    !findings.some((finding) => /error: Found \d+ documentation lint error/.test(finding)) &&
    findings.join("").includes("error:")
  ) {
    await Deno.stderr.write(stderr);
    Deno.exit(1);
  }
}
