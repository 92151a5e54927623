import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { start } from "../../cli/program.ts";
import { bareEnvironment } from "../support/test_pipeline.ts";
import { needing } from "../support/needs.ts";

const test = needing("git", "sqlite3");

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Copies the project as a clone would have it: the tracked files, and those that would be added. */
async function freshCopy(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "clone-" });
  const listed = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
    cwd: ROOT,
  }).output();
  for (const name of new TextDecoder().decode(listed.stdout).split("\0").filter((name) => name !== "")) {
    const target = `${folder}/${name}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(`${ROOT}/${name}`, target).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // removed, but not yet from git
    });
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

test("deno task demo --once in a fresh clone runs the whole pipeline without an installed server", async () => {
  await using copy = await freshCopy();
  const env = { ...await bareEnvironment(), API_PORT: "0" };
  const deno = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), { args, cwd: copy.folder, env, clearEnv: true, stdin: "null" })
      .output();
  const { code, stdout, stderr } = await deno("task", "--quiet", "demo", "--once");
  const output = new TextDecoder().decode(stdout);
  assert.equal(code, 0, output + new TextDecoder().decode(stderr));
  assert.match(output, /COMPLETED: 208 valid, 0 invalid, 0 UNKNOWN/);
  assert.match(output, /Pipeline products[^]*COMPLETED: 194 valid, 0 invalid/);
  const shown = /It prints:\n\n```\n([^]*?)```/.exec(
    await Deno.readTextFile(`${copy.folder}/README.md`),
  )![1]!;
  let from = 0;
  for (const line of shown.split("\n").filter((line) => line !== "" && line !== "…")) {
    const pattern = line.split(/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|…)/)
      .map((part, at) => at % 2 === 0 ? RegExp.escape(part) : ".+").join("");
    const found = new RegExp(`^${pattern}$`, "m").exec(output.slice(from));
    assert.ok(found, `the README shows a line that isn't printed: ${line}\n${output}`);
    from += found.index + found[0].length;
  }

  const delivered = (await Array.fromAsync(Deno.readDir(`${copy.folder}/sftp_data`), ({ name }) => name))
    .filter((name) => name !== ".gitkeep" && name !== "products").sort();
  const stamp = /^etl_(\d{8}_\d{6})\.jsonl$/.exec(delivered[0]!)?.[1];
  assert.deepEqual(delivered, [
    `etl_${stamp}.jsonl`,
    `invalid_users_${stamp}.jsonl`,
    `manifest_${stamp}.json`,
    `records_${stamp}.jsonl`,
  ]);
  const products = await Array.fromAsync(
    Deno.readDir(`${copy.folder}/sftp_data/products`),
    ({ name }) => name,
  );
  assert.deepEqual(products.map((name) => name.replace(/\d{8}_\d{6}/, "TS")).sort(), [
    "etl_TS.jsonl",
    "invalid_products_TS.jsonl",
    "manifest_TS.json",
    "records_TS.jsonl",
  ]);
  const query = async (sql: string) => {
    const { stdout } = await new Deno.Command("sqlite3", {
      args: ["-json", `${copy.folder}/database/data.db`, sql],
    }).output();
    return JSON.parse(new TextDecoder().decode(stdout));
  };
  const rows = await query("SELECT * FROM processed_users");
  assert.equal(rows.length, 208);
  assert.deepEqual([rows[0].id, rows[0].password, typeof rows[0].insertion_date], [1, "***", "string"]);
  assert.ok(rows.every((row: { department_code: string }) => /^[A-Z]{2,3}$/.test(row.department_code)));

  const api = start(
    { name: "api", args: ["task", "--quiet", "api"], env, cwd: copy.folder },
    () => {},
  );
  try {
    const [, port] = await api.line(/"message":"ready".*"port":(\d+)/);
    const runs = await (await fetch(`http://127.0.0.1:${port}/etl_runs`)).json();
    assert.equal(runs.length, 2);
    const { run_timestamp, ...run } = runs[1];
    assert.match(run_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(run, {
      id: 1,
      processed_file: `data/processed_users/etl_${stamp}.jsonl`,
      valid_count: 208,
      invalid_count: 0,
    });
  } finally {
    assert.equal(await api.stop(), 0);
  }
});
