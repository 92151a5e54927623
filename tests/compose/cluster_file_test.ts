import assert from "node:assert/strict";
import { parse } from "yaml";
import { type Service, SERVICES, VARIABLES } from "../../cli/services.ts";

interface Part {
  readonly scale?: number;
  readonly environment?: Record<string, string>;
  readonly networks?: string[];
  readonly volumes?: string[];
  readonly ports?: string[];
  readonly image?: string;
  readonly command?: string[];
  readonly mem_limit?: string;
  readonly cap_drop?: string[];
  readonly security_opt?: string[];
  readonly healthcheck?: unknown;
}

interface Composed {
  readonly services: Record<string, Part>;
  readonly volumes: Record<string, unknown>;
  readonly networks: Record<string, unknown>;
}

async function read(name: string): Promise<Composed> {
  const text = await Deno.readTextFile(new URL(`../../${name}`, import.meta.url));
  return parse(text, { merge: true });
}

const [base, cluster] = await Promise.all(["docker-compose.yml", "docker-compose.cluster.yml"].map(read)) as [
  Composed,
  Composed,
];

/** The variables by which services share an engine. */
const ENGINES = ["FILES_URL", "S3_ENDPOINT", "S3_PATH_STYLE", "DATABASE_URL"];

Deno.test("in the cluster each service runs twice, with the variables of the engines that it uses", () => {
  for (const service of SERVICES) {
    const again = cluster.services[`${service}2`];
    assert.equal((cluster.services[service]?.scale ?? 1) + (again === undefined ? 0 : 1), 2, service);
    const { environment = {} } = cluster.services[service] ?? {};
    assert.deepEqual(
      Object.keys(environment).sort(),
      ENGINES.filter((name) => name in VARIABLES[service as Service]).sort(),
      service,
    );
  }
});

Deno.test("the second API differs from the first only in its port", () => {
  const [first, second] = [base.services.api!, cluster.services.api2!];
  const fixed = (environment: Record<string, string> = {}) =>
    Object.entries(environment).filter(([name]) => !name.startsWith("OTEL_")).sort();
  assert.deepEqual(
    fixed(second.environment),
    fixed({ ...first.environment, ...cluster.services.api!.environment }),
  );
  for (
    const key of [
      ...["image", "command", "networks", "volumes", "cap_drop", "security_opt", "mem_limit", "healthcheck"],
    ] as (keyof Part)[]
  ) {
    assert.deepEqual(second[key], first[key], key);
  }
  assert.notDeepEqual(second.ports, first.ports);
});

Deno.test("the engines are bounded, unprivileged, internal and persistent, and the file contains no password", () => {
  const engines = Object.entries(cluster.services).filter(([, { image }]) =>
    image !== undefined && image !== "deno-etl"
  );
  assert.deepEqual(engines.map(([name]) => name), ["postgres", "store"]);
  for (const [name, part] of engines) {
    assert.deepEqual([part.cap_drop, part.security_opt], [["ALL"], ["no-new-privileges:true"]], name);
    assert.ok(part.mem_limit !== undefined && part.healthcheck !== undefined, name);
    assert.deepEqual(part.networks, ["channel"], name);
    assert.equal(part.ports, undefined, name);
    assert.match(part.image!, /:[^:]*\d/, name);
    const [volume] = part.volumes!.map((text) => text.split(":")[0]!);
    assert.ok(volume! in cluster.volumes, name);
    for (const [variable, value] of Object.entries(part.environment!)) {
      if (/PASSWORD|ROOT_USER/.test(variable)) assert.match(value, /^\$\{[A-Z_]+:\?.+\}$/, variable);
    }
  }
  assert.deepEqual(base.networks.channel, { internal: true });
});
