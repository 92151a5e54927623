/**
 * Checks which folder may import which, which code may read the environment, and how long a file may be.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SERVICES = ["extractor", "transformer", "saver", "api"];

/** The folders that each folder may import, besides itself. */
const ROOMS: Record<string, readonly string[]> = {
  pipelines: ["shared"],
  extractor: ["shared", "pipelines"],
  transformer: ["shared", "pipelines"],
  saver: ["shared", "pipelines"],
  api: ["shared", "pipelines"],
  shared: [],
  cli: [...SERVICES, "shared", "pipelines", "local"],
  local: ["shared", "saver/delivery", "cli/command_line.ts"],
  scripts: [...SERVICES, "shared", "pipelines", "cli", "local", "tests"],
  tests: [...SERVICES, "shared", "pipelines", "cli", "local", "scripts"],
};

const MOST_LINES = 400;

interface Import {
  /** Path of the importing file from the root. */
  readonly from: string;
  /** The imported path from the root, or a package such as `zod` or `node:crypto`. */
  readonly to: string;
  /** Whether only types are imported, so that nothing is loaded at run time. */
  readonly typeOnly: boolean;
}

/** Returns the error in an import, if any. */
type Rule = (file: string, to: string, typeOnly: boolean) => string | undefined;

const isTestFile = (file: string) => /(_test|\/testing)\.tsx?$/.test(file);
const isTest = (file: string) => isTestFile(file) || file.startsWith("tests/") || file.startsWith("scripts/");
const inside = (path: string, ...folders: string[]) =>
  folders.some((folder) => path.startsWith(`${folder}/`));

/** The rules for code of the pipeline. Tests and scripts may import everything. */
const RULES: Record<string, Rule> = {
  "a service or folder imports only what the table allows": (file, to) => {
    const room = file.split("/", 1)[0]!;
    const may = [room, ...ROOMS[room] ?? []];
    if (isTestFile(file) || !(to.includes("/") && to.split("/", 1)[0]! in ROOMS)) return;
    if (!may.includes(to) && !inside(to, ...may)) return `wanted one of ${may.join(", ")}`;
  },
  "contracts import only zod and node:crypto": (file, to) => {
    if (!inside(file, "shared/contracts") || isTest(file) || inside(to, "shared/contracts")) return;
    if (!["zod", "node:crypto"].includes(to)) return "wanted zod or node:crypto";
  },
  "errors import nothing": (file) => {
    if (inside(file, "shared/errors") && !isTest(file)) return "wanted no import";
  },
  "channel, store and delivery never import one another": (file, to) => {
    const apart = ["shared/channel", "shared/store", "saver/delivery"];
    const own = apart.find((folder) => inside(file, folder));
    const other = apart.find((folder) => inside(to, folder));
    if (own !== undefined && other !== undefined && own !== other) return "are adapters of different things";
  },
  "SQLite has one wrapper": (file, to) => {
    if (to === "node:sqlite" && !isTest(file) && file !== "shared/sqlite/database.ts") {
      return "wanted shared/sqlite/database.ts";
    }
  },
  "SQL stays in its adapters": (file, to, typeOnly) => {
    const isEngine = inside(to, "shared/sqlite", "shared/store/sqlite", "shared/store/postgres");
    const may = isTest(file) || inside(file, "shared/sqlite", "shared/store", "shared/channel", "api/sql");
    if (isEngine && !typeOnly && !may) {
      return "wanted shared/store/store.ts, or shared/store/open.ts in a main";
    }
  },
  "PostgreSQL has one wrapper": (file, to) => {
    if (to === "postgres" && !isTest(file) && !inside(file, "shared/store/postgres")) {
      return "wanted shared/store/postgres/connection.ts";
    }
  },
  "the actor runtime knows the channel's port, never an adapter": (file, to) => {
    if (
      inside(file, "shared/actor") && !isTest(file) && inside(to, "shared/channel") &&
      to !== "shared/channel/channel.ts"
    ) {
      return "wanted shared/channel/channel.ts";
    }
  },
  "only a main or a command opens adapters": (file, to, typeOnly) => {
    const opens = [
      "shared/channel/open.ts",
      "shared/store/open.ts",
      "shared/files/open.ts",
      "shared/files/local.ts",
      "saver/delivery/sftp.ts",
    ]
      .includes(to) ||
      /^shared\/(channel\/(redis|embedded)|files\/s3\/files)\.ts$/.test(to);
    const may = isTest(file) || file.endsWith("/main.ts") ||
      inside(file, "cli", "shared/channel", "shared/store", "shared/files", "saver/delivery");
    if (opens && !typeOnly && !may) return "wanted a port";
  },
};

Deno.test("every import is one that the architecture allows", async () => {
  const imports = await allImports();
  assert.ok(imports.length > 200, "the imports were found");
  const broken = Object.entries(RULES).flatMap(([rule, says]) =>
    imports.flatMap(({ from, to, typeOnly }) => {
      const why = says(from, to, typeOnly);
      return why === undefined ? [] : [`${from} imports ${to}: ${rule} (${why})`];
    })
  );
  assert.deepEqual(broken, []);
});

Deno.test("the rules catch what they forbid", () => {
  const caught: [string, string][] = [
    ["saver/load.ts", "transformer/transform.ts"],
    ["shared/files/lines.ts", "saver/load.ts"],
    ["shared/store/mask.ts", "pipelines/users.ts"],
    ["api/app.ts", "tests/support/redis.ts"],
    ["cli/etl.ts", "scripts/run_tests.ts"],
    ["saver/main.ts", "cli/services.ts"],
    ["extractor/main.ts", "local/source.ts"],
    ["local/source.ts", "cli/services.ts"],
    ["shared/contracts/messages.ts", "shared/errors/errors.ts"],
    ["shared/contracts/ids.ts", "node:fs"],
    ["shared/errors/errors.ts", "zod"],
    ["shared/store/sqlite/load.ts", "shared/channel/channel.ts"],
    ["saver/delivery/sftp.ts", "shared/store/sqlite/runs.ts"],
    ["shared/actor/actor.ts", "shared/channel/redis.ts"],
    ["saver/courier.ts", "saver/delivery/sftp.ts"],
    ["transformer/transformer.ts", "shared/files/local.ts"],
    ["saver/courier.ts", "shared/files/s3/files.ts"],
    ["shared/channel/embedded.ts", "node:sqlite"],
    ["saver/load.ts", "shared/store/sqlite/load.ts"],
    ["saver/load.ts", "shared/store/open.ts"],
    ["cli/verify/copies.ts", "shared/sqlite/database.ts"],
  ];
  for (const [from, to] of caught) {
    assert.ok(
      Object.values(RULES).some((says) => says(from, to, false) !== undefined),
      `${from} imports ${to}`,
    );
  }
});

Deno.test("only configuration modules read the environment", async () => {
  const may = (file: string) =>
    /^[a-z]+\/config\.ts$/.test(file) || inside(file, "shared/config", "tests") || isTestFile(file) ||
    BEFORE_CONFIGURATION.some((path) => file.startsWith(path));
  const broken: string[] = [];
  for (const [file, text] of await sources()) {
    if (!may(file) && /Deno\.env\b|process\.env\b/.test(withoutComments(text))) broken.push(file);
  }
  assert.deepEqual(broken, []);
});

/** Programs that create the environment of others, or run beside a service in its container. */
const BEFORE_CONFIGURATION = [
  "cli/env_file.ts",
  "cli/container/",
  "scripts/run_tests.ts",
];

Deno.test(`no file has more than ${MOST_LINES} lines`, async () => {
  const long = (await sources()).filter(([, text]) => text.split("\n").length - 1 > MOST_LINES);
  assert.deepEqual(long.map(([file]) => file), []);
});

async function allImports(): Promise<Import[]> {
  return (await sources()).flatMap(([from, text]) =>
    importsOf(text).map(({ name, typeOnly }) => ({ from, to: resolved(from, name), typeOnly }))
  );
}

/** Returns the imports of a module: static, dynamic and re-exports. */
function importsOf(text: string): { name: string; typeOnly: boolean }[] {
  const code = withoutComments(text);
  const fixed = code.matchAll(/^(?:import|export)\b(?:[^"';]*?\bfrom)?\s*"([^"\n]+)"/gm);
  const loaded = code.matchAll(/\bimport\(\s*"([^"\n]+)"\s*\)/g);
  return [...fixed, ...loaded].map(([code, name]) => ({
    name: name!,
    typeOnly: /^(import|export) type\b/.test(code),
  }));
}

function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*\*?[\s\S]*?\*\//gm, "").replace(/^\s*\/\/.*$/gm, "");
}

function resolved(from: string, name: string): string {
  return name.startsWith(".") ? normalize(join(dirname(from), name)) : name;
}

/** Returns the path from the root and the text of every TypeScript file. */
async function sources(): Promise<[string, string][]> {
  const found: [string, string][] = [];
  const visit = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const path = join(folder, name);
      if (isDirectory && name !== "node_modules") await visit(path);
      else if (/\.tsx?$/.test(name)) found.push([relative(ROOT, path), await Deno.readTextFile(path)]);
    }
  };
  for (const room of Object.keys(ROOMS)) {
    const found = await Deno.stat(join(ROOT, room)).catch(() => undefined);
    if (found?.isDirectory) await visit(join(ROOT, room));
  }
  return found;
}

/**
 * Where the words of one feed occur outside of its definition, because contracts or the original's names
 * require them.
 */
const FEED_WORDS: Record<string, string> = {
  "shared/contracts/names.ts": "the pipeline of whatever names none",
  "shared/contracts/messages.ts": "lookup_gaps of phase 2",
  "shared/store/timeline.ts": "lookup_gaps of phase 2",
  "transformer/transform.ts": "lookup_gaps of phase 2",
  "api/graphql/run.ts": "EtlRun.lookupGaps",
  "api/client/operations.ts": "EtlRun.lookupGaps",
  "api/dashboard/web/pages/run.tsx": "EtlRun.lookupGaps",
  "cli/etl/commands.ts": "EtlRun.lookupGaps",
  "api/graphql/record.ts": "the enum RecordTable",
  "api/graphql/mutations/start_run.ts": "the default of startRun",
  "api/rest/data.ts": "the example of the original's route",
  "api/rest/query_sql.ts": "the example of the original's route",
  "extractor/config.ts": "API_BASE_URL, BATCH_SIZE and SCHEDULE, whose defaults are those of the definition",
  "saver/config.ts": "SCHEDULE, whose default is that of the definition",
  "shared/config/schedule.ts": "SCHEDULE",
  "transformer/config.ts": "LOOKUP_FILE",
  "shared/config/variables.ts": "MASK_FIELDS",
  "cli/pipeline.ts": "demo --users",
  "cli/supervisor.ts": "demo --users",
  "cli/port.ts": "what the program ss writes",
};

Deno.test("only contracts and the sample source know a feed", async () => {
  const found = (await sources()).filter(([file, text]) =>
    inside(file, ...SERVICES, "shared", "cli") && !isTestFile(file) && !file.endsWith(".d.ts") &&
    /\busers\b|_users\b|department|dummyjson/i.test(withoutComments(text))
  ).map(([file]) => file);
  assert.deepEqual(found.sort(), Object.keys(FEED_WORDS).sort());
});
