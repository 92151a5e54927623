import assert from "node:assert/strict";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { StatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { Service } from "kubernetes-models/v1/Service";
import { parseAllDocuments } from "yaml";
import {
  problemsOf as configProblems,
  type Service as ServiceName,
  SERVICES,
  VARIABLES,
} from "../../cli/services.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { openApi } from "../support/api.ts";

const FOLDER = new URL("../../deploy/kubernetes/", import.meta.url);

/** The validators of manifests, by Kubernetes' schema. */
const MODELS: Record<string, new (data: never) => { validate(): void }> = {
  "apps/v1 Deployment": Deployment,
  "apps/v1 StatefulSet": StatefulSet,
  "networking.k8s.io/v1 NetworkPolicy": NetworkPolicy,
  "policy/v1 PodDisruptionBudget": PodDisruptionBudget,
  "v1 ConfigMap": ConfigMap,
  "v1 Service": Service,
};

type Labels = Record<string, string>;

interface Mount {
  readonly name: string;
  readonly mountPath: string;
}

interface Container {
  readonly name: string;
  readonly args: string[];
  readonly ports?: { name: string; containerPort: number }[];
  readonly envFrom: { configMapRef: { name: string } }[];
  readonly securityContext: unknown;
  readonly resources: { requests: Labels; limits: Labels };
  readonly startupProbe: { exec: { command: string[] } };
  readonly readinessProbe: { exec: { command: string[] } };
  readonly volumeMounts: Mount[];
}

interface Volume {
  readonly name: string;
  readonly secret?: { secretName: string; defaultMode: number; items: { key: string; path: string }[] };
}

interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly securityContext: { runAsNonRoot: boolean; runAsUser: number };
  readonly containers: Container[];
  readonly volumes: Volume[];
}

interface Port {
  readonly port: number;
  readonly protocol?: string;
  readonly targetPort?: string;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { name: string; labels: Labels };
  readonly data: Labels;
  readonly spec: {
    readonly replicas: number;
    readonly minAvailable: number;
    readonly podSelector: { matchLabels: Labels };
    readonly policyTypes: string[];
    readonly egress?: { to?: unknown; ports: Port[] }[];
    readonly ingress?: { from: unknown; ports: Port[] }[];
    readonly ports: Port[];
    readonly selector: { matchLabels: Labels };
    readonly template: { metadata: { labels: Labels }; spec: PodSpec };
    readonly volumeClaimTemplates?: { metadata: { name: string } }[];
  };
}

async function manifests(): Promise<Manifest[]> {
  const names = (await Array.fromAsync(Deno.readDir(FOLDER), ({ name }) => name)).sort();
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(new URL(name, FOLDER))));
  return texts.flatMap((text) =>
    parseAllDocuments(text).map((document) => {
      assert.deepEqual(document.errors, []);
      return document.toJS() as Manifest;
    })
  );
}

/** Returns a copy that records which of its keys are read. A schema reads all the keys that it knows. */
function watched(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [] : {};
  for (const [key, item] of Object.entries(value)) {
    const place = `${path}.${key}`;
    const inner = watched(item, place, unread);
    unread.add(place);
    Object.defineProperty(copy, key, {
      enumerable: true,
      get: () => {
        unread.delete(place);
        return inner;
      },
    });
  }
  return copy;
}

/** Returns the problems of a manifest: values that the schema refuses, and keys that it doesn't know. */
function problemsOf(manifest: Manifest): string[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  const Model = MODELS[kind];
  if (Model === undefined) return [`${kind} has no schema here`];
  const unread = new Set<string>();
  const { validate } = Model.prototype;
  try {
    validate.call(watched(manifest, manifest.metadata.name, unread));
  } catch (error) {
    return [String(error)];
  }
  return [...unread].map((place) => `${place} isn't known`);
}

const ofKind = (all: Manifest[], ...kinds: string[]) => all.filter(({ kind }) => kinds.includes(kind));
const workloadsOf = (all: Manifest[]) => ofKind(all, "Deployment", "StatefulSet");
const selects = (selector: Labels, labels: Labels) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

Deno.test("every manifest is valid by the schema of Kubernetes, without unknown keys", async () => {
  const all = await manifests();
  assert.ok(all.length >= 8);
  assert.deepEqual(all.flatMap(problemsOf), []);
});

Deno.test("the check finds wrong types, missing keys and misspelled ones", async () => {
  const [extractor] = workloadsOf(await manifests()).filter(({ metadata }) => metadata.name === "extractor");
  const changed = (change: (container: Record<string, unknown>) => void) => {
    const copy = structuredClone(extractor!);
    change(copy.spec.template.spec.containers[0] as unknown as Record<string, unknown>);
    return problemsOf(copy);
  };
  assert.match(changed((container) => container.args = "extractor").join(), /must be array/);
  assert.match(changed((container) => delete container.name).join(), /must have required property name/);
  assert.match(
    changed((container) => container.readynessProbe = {}).join(),
    /containers\.0\.readynessProbe isn't known/,
  );
});

Deno.test("each service is deployed once, as an unprivileged user with least rights, with probes and bounds", async () => {
  const workloads = workloadsOf(await manifests());
  const containers = workloads.flatMap(({ spec }) => spec.template.spec.containers);
  assert.deepEqual(containers.map(({ args }) => args.join(" ")).sort(), [...SERVICES].sort());
  for (const { spec: { template: { spec } } } of workloads) {
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.enableServiceLinks, false);
    assert.deepEqual([spec.securityContext.runAsNonRoot, spec.securityContext.runAsUser], [true, 1000]);
  }
  for (const container of containers) {
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assert.ok(container.resources.limits.memory && container.resources.requests.cpu, container.name);
    const [script, word] = container.readinessProbe.exec.command;
    assert.deepEqual([script, word], ["/app/cli/container/start.sh", "healthy"]);
    await Deno.stat(new URL(`../..${script!.replace("/app", "")}`, import.meta.url));
    assert.deepEqual(container.startupProbe.exec, container.readinessProbe.exec);
    assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === "/tmp"), container.name);
  }
});

Deno.test("each service gets the configuration, and only the secrets that it reads", async () => {
  const all = await manifests();
  const [map] = ofKind(all, "ConfigMap");
  const known = new Set(SERVICES.flatMap((service) => Object.keys(VARIABLES[service])));
  for (const name of Object.keys(map!.data)) assert.ok(known.has(name), name);
  const secretNames = [
    ...[
      "REDIS_URL",
      "DATABASE_URL",
      "SQL_DATABASE_URL",
      "AWS_ACCESS_KEY_ID",
      "AWS_SECRET_ACCESS_KEY",
      "API_TOKEN",
    ],
  ];
  for (const { spec } of workloadsOf(all)) {
    const { containers, volumes } = spec.template.spec;
    const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name);
    for (const { name: service, envFrom, volumeMounts } of containers) {
      assert.deepEqual(envFrom, [{ configMapRef: { name: map!.metadata.name } }]);
      const mounted = volumeMounts.find(({ mountPath }) => mountPath === "/run/secrets")!;
      const { secret } = volumes.find(({ name }) => name === mounted.name)!;
      const read = Object.keys(VARIABLES[service as keyof typeof VARIABLES]);
      assert.deepEqual(
        secret!.items.map(({ path }) => path).sort(),
        secretNames.filter((name) => read.includes(name)).sort(),
        service,
      );
      assert.deepEqual(secret!.items.map(({ key }) => key), secret!.items.map(({ path }) => path));
      for (const { name } of volumeMounts) {
        assert.ok(
          claims.includes(name) || volumes.some((volume) => volume.name === name),
          `${service} ${name}`,
        );
      }
    }
  }
});

Deno.test("selectors select their own pods; a service with several keeps one while nodes are drained; a policy covers all", async () => {
  const all = await manifests();
  const workloads = workloadsOf(all);
  const policies = ofKind(all, "NetworkPolicy");
  for (const { metadata, spec } of workloads) {
    const { labels } = spec.template.metadata;
    assert.deepEqual(
      workloads.filter((other) => selects(spec.selector.matchLabels, other.spec.template.metadata.labels))
        .map((
          other,
        ) => other.metadata.name),
      [metadata.name],
    );
    const budgets = ofKind(all, "PodDisruptionBudget").filter((budget) =>
      selects(budget.spec.selector.matchLabels, labels)
    );
    assert.equal(budgets.length, spec.replicas > 1 ? 1 : 0, metadata.name);
    for (const budget of budgets) assert.ok(budget.spec.minAvailable < spec.replicas, metadata.name);
    const own = policies.filter((policy) => selects(policy.spec.podSelector.matchLabels, labels));
    assert.deepEqual(
      [...new Set(own.flatMap((policy) => policy.spec.policyTypes))].sort(),
      ["Egress", "Ingress"],
      metadata.name,
    );
  }
  for (const policy of policies) {
    assert.ok(
      workloads.some((one) =>
        selects(policy.spec.podSelector.matchLabels, one.spec.template.metadata.labels)
      ),
      policy.metadata.name,
    );
  }
});

/** Values for the placeholders of the docs. */
const EXAMPLES: Record<string, string> = {
  "rediss://…": "rediss://redis.example.org",
  "postgres://…": "postgres://etl:password@postgres.example.org/etl",
  '"$(openssl rand -hex 24)"': "0".repeat(48),
};

/**
 * Returns the keys of each secret that docs/operations.md creates, with values in the form that the services
 * require.
 */
async function secretsOfDocs(): Promise<Map<string, Record<string, string>>> {
  const docs = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));
  const [, section] = docs.split("## On Kubernetes");
  const made = new Map<string, Record<string, string>>();
  for (const [, name, options] of section!.matchAll(/kubectl create secret generic (\S+) ((?:.*\\\n)*.*)/g)) {
    const literals = [...options!.matchAll(/--from-literal=(\w+)=("[^"]*"|\S+)/g)].map((
      [, key, value],
    ) => [
      key!,
      EXAMPLES[value!] ?? value!,
    ]);
    const files = [...options!.matchAll(/--from-file=(\S+)/g)].map((
      [, path],
    ) => [path!.split("/").at(-1)!, ""]);
    made.set(name!, Object.fromEntries([...literals, ...files]));
  }
  return made;
}

Deno.test("each service can be configured with what it gets, and the documented secrets have each mounted key", async () => {
  const all = await manifests();
  const [map] = ofKind(all, "ConfigMap");
  const secrets = await secretsOfDocs();
  const mounted = new Set<string>();
  for (const { spec } of workloadsOf(all)) {
    const { containers: [container], volumes } = spec.template.spec;
    const service = container!.name as ServiceName;
    const env: Record<string, string> = { ...map!.data };
    for (const { secret } of volumes) {
      for (const { key } of secret?.items ?? []) {
        const value = secrets.get(secret!.secretName)?.[key];
        assert.ok(value !== undefined, `${service}: ${secret!.secretName} has no ${key}`);
        mounted.add(`${secret!.secretName} ${key}`);
        if (secret!.secretName === "etl") env[key] = value;
      }
    }
    assert.deepEqual(configProblems([service], env), [], service);
    const config = loadConfig(service, VARIABLES[service], env) as Record<string, unknown>;
    for (const name of Object.keys(map!.data)) {
      const isRead = Object.hasOwn(VARIABLES[service], name);
      assert.equal(config[name] !== undefined, isRead, `${service} ${name}`);
    }
  }
  const made = [...secrets].flatMap(([name, keys]) => Object.keys(keys).map((key) => `${name} ${key}`));
  assert.deepEqual(made.filter((key) => !mounted.has(key)), [], "what is made is used");
});

Deno.test("probes, service and policy use the API's port and an existing route", async () => {
  const all = await manifests();
  const [map] = ofKind(all, "ConfigMap");
  const { API_PORT } = loadConfig("api", VARIABLES.api, map!.data);
  await using api = await openApi();
  for (const { spec: { template: { spec: { containers: [container] } } } } of workloadsOf(all)) {
    const [url, ...more] = container!.readinessProbe.exec.command.slice(2);
    assert.deepEqual([more, url === undefined], [[], container!.name !== "api"], container!.name);
    assert.deepEqual(
      (container!.ports ?? []).map(({ containerPort }) => containerPort),
      container!.name === "api" ? [API_PORT] : [],
    );
    if (url === undefined) continue; // checked by the beats of its actors
    const { hostname, port, pathname } = new URL(url);
    assert.deepEqual([hostname, Number(port)], ["127.0.0.1", API_PORT]);
    assert.equal((await api.send(pathname)).status, 200);
    const [service] = ofKind(all, "Service");
    assert.deepEqual(service!.spec.ports.map(({ port, targetPort }) => [port, targetPort]), [
      [API_PORT, container!.ports![0]!.name],
    ]);
  }
  const ingress = ofKind(all, "NetworkPolicy").flatMap(({ metadata, spec }) =>
    (spec.ingress ?? []).map(({ from, ports }) => [metadata.name, from, ports])
  );
  assert.deepEqual(ingress, [["api", [{ podSelector: {} }], [{ protocol: "TCP", port: API_PORT }]]]);
});

Deno.test("the policies let each service reach the engines whose addresses it reads, and nothing else", async () => {
  const all = await manifests();
  const { REDIS_PORT, SFTP_PORT } = loadConfig("saver", VARIABLES.saver, ofKind(all, "ConfigMap")[0]!.data);
  /** The ports that a service needs because of a variable that it reads. */
  const needed: Record<string, number> = {
    REDIS_URL: REDIS_PORT,
    DATABASE_URL: 5432,
    FILES_URL: 443,
    API_BASE_URL: 443,
    NOTIFY_URL: 443,
    SFTP_HOST: SFTP_PORT,
  };
  for (const { spec } of workloadsOf(all)) {
    const { metadata: { labels }, spec: { containers: [container] } } = spec.template;
    const opened = ofKind(all, "NetworkPolicy")
      .filter((policy) => selects(policy.spec.podSelector.matchLabels, labels))
      .flatMap((policy) => policy.spec.egress ?? []).flatMap(({ ports }) => ports)
      .map(({ protocol, port }) => `${protocol} ${port}`);
    const read = VARIABLES[container!.name as ServiceName];
    const wanted = Object.entries(needed).filter(([name]) => name in read).map(([, port]) => `TCP ${port}`);
    assert.deepEqual(
      [...new Set(opened)].sort(),
      [...new Set(["UDP 53", "TCP 53", ...wanted])].sort(),
      container!.name,
    );
  }
});
