import assert from "node:assert/strict";
import { SERVICES, VARIABLES } from "../../cli/services.ts";

/** Variables that containers fix: the addresses of the services and the paths of files. */
const FIXED = [
  "REDIS_URL",
  "REDIS_HOST",
  "REDIS_PORT",
  "QUEUE_PATH",
  "DATA_DIR",
  "DB_PATH",
  "PIPELINES_DIR",
  "API_HOST",
  "API_PORT",
  "SFTP_KEY_PATH",
  "SFTP_KNOWN_HOSTS",
  "SFTP_HOST_KEY_POLICY",
];

/** Variables of the extractor's schedule that the API shows. */
const SHOWN = ["SCHEDULE", "SLEEP_INTERVAL_SECONDS", "TZ"];

/** Returns the variables that a section of docker-compose.yml takes from .env. */
function passedOn(section: string): string[] {
  return [...section.matchAll(/^ +([A-Z][A-Z0-9_]+): \$\{\1:-[^}]*\}$/gm)].map((match) => match[1]!)
    .filter((name) => !name.startsWith("OTEL_"));
}

Deno.test("docker-compose.yml passes to each service exactly the variables that it reads", async () => {
  const file = await Deno.readTextFile(new URL("../../docker-compose.yml", import.meta.url));
  const common = passedOn(file.match(/^x-common:[^]*?\n\n/m)![0]);
  for (const service of SERVICES) {
    const section = file.match(new RegExp(`^  ${service}:\\n(?:    .*\\n|\\n)+`, "m"))![0];
    assert.match(section, /<<: \*common/);
    assert.deepEqual(
      [...common, ...passedOn(section)].toSorted(),
      [
        ...Object.keys(VARIABLES[service]).filter((name) => !FIXED.includes(name)),
        ...(service === "api" ? SHOWN : []),
      ].toSorted(),
      service,
    );
  }
});

Deno.test("Redis refuses new messages well before its container runs out of memory", async () => {
  const file = await Deno.readTextFile(new URL("../../docker-compose.yml", import.meta.url));
  const section = file.match(/^ {2}redis:\n(?: {4}.*\n|\n)+/m)![0];
  const megabytes = (text: RegExp) => Number(section.match(text)?.[1]);
  const [most, limit] = [megabytes(/--maxmemory\n +- (\d+)mb\n/), megabytes(/mem_limit: (\d+)m\n/)];
  assert.ok(most > 0 && most <= limit * 0.7, `maxmemory ${most} MB of ${limit} MB`);
  assert.match(section, /- --maxmemory-policy\n +- noeviction\n/);
});
