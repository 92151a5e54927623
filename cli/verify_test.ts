import assert from "node:assert/strict";
import { Inspection } from "../saver/delivery/inspect.ts";
import { manifestOf } from "../saver/manifest.ts";
import type { FileKind } from "../shared/contracts/names.ts";
import { usersPlan } from "../tests/support/users.ts";
import { Delivered, LOOKUP_FILE, type Made, usersText } from "../tests/support/delivered.ts";
import { OURS } from "../tests/support/sftp.ts";
import type { Item } from "./verify/finding.ts";
import { type VerifyParts, verifyRun } from "./verify/run.ts";
import { needing } from "../tests/support/needs.ts";

const test = needing("sshd");

const PLACES = {
  run: ["counts"],
  local: ["raw", "processed", "invalid"],
  database: ["raw", "processed", "invalid"],
  transform: ["processed", "invalid"],
  deliveries: ["raw", "processed", "invalid", "manifest"],
  server: ["raw", "processed", "invalid", "manifest"],
};
const EVERYTHING = Object.entries(PLACES).flatMap(([place, files]) =>
  files.map((file) => `${place} ${file}`)
);

/** Returns all items of a run. */
async function verify(fixture: Delivered, made: Made, change: Partial<VerifyParts> = {}): Promise<Item[]> {
  await using resources = new AsyncDisposableStack();
  let opened: Promise<Inspection> | undefined;
  const server = () =>
    opened ??= Inspection.open(fixture.sftp.options, new AbortController().signal)
      .then((inspection) => resources.use(inspection));
  const { store, files } = fixture;
  const feedOf = () => ({ plan: usersPlan, lookups: fixture.lookup });
  const run = (await store.runs.byRunId(made.runId))!;
  return await Array.fromAsync(verifyRun(run, { store, files, feedOf, server, ...change }));
}

/** Returns place, file and result of each item that isn't equal. */
function unequal(items: readonly Item[]): string[] {
  return items.filter(({ result }) => result !== "equal").map((item) =>
    `${item.place} ${item.file} ${item.result}`
  );
}

function detailOf(items: readonly Item[], place: Item["place"], file: Item["file"]): string {
  return items.find((item) => item.place === place && item.file === file)!.detail;
}

/** Changes a byte in the middle of a file. */
async function flip(path: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await Deno.writeFile(path, bytes);
}

/** Returns the id of a run's file in the database. */
async function fileId(fixture: Delivered, { runId }: Made, kind: FileKind): Promise<number> {
  return (await fixture.store.runs.filesOf([runId])).get(runId)!.find((file) => file.kind === kind)!.id;
}

test("after a run everything is equal: disk, database, transform, deliveries, server", async () => {
  await using fixture = await Delivered.open();
  const items = await verify(fixture, await fixture.run());
  assert.deepEqual(unequal(items), []);
  assert.deepEqual(items.map(({ place, file }) => `${place} ${file}`), EVERYTHING);
});

test("a changed byte, a changed record and a missing file are each named, wherever they are", async () => {
  await using fixture = await Delivered.open();
  const cases: [string[], (made: Made) => Promise<unknown>][] = [
    [["local processed differs"], (made) => flip(made.processed)],
    [["local invalid missing"], (made) => Deno.remove(made.invalid)],
    [
      // a transform that can't be repeated is skipped, not guessed
      ["local raw differs", "transform processed skipped", "transform invalid skipped"],
      (made) => flip(made.raw),
    ],
    [["database processed differs"], async (made) => {
      const first = await fileId(fixture, made, "processed") * 1_000_000_000;
      return fixture.place.change(
        `UPDATE processed_records SET json = json || ' ', same_as = NULL WHERE id = ${first + 17}`,
      );
    }],
    [["database raw differs"], async (made) => {
      const first = await fileId(fixture, made, "raw") * 1_000_000_000;
      return fixture.place.change(`DELETE FROM raw_records WHERE id = ${first + 3}`);
    }],
    [
      ["run counts differs"],
      (made) =>
        fixture.place.change(
          `UPDATE etl_runs SET valid_count = valid_count - 1 WHERE run_id = '${made.runId}'`,
        ),
    ],
    [["server raw differs"], (made) => flip(remote(made.raw))],
    [["server invalid missing"], (made) => Deno.remove(remote(made.invalid))],
    [
      ["deliveries processed missing"],
      (made) =>
        fixture.place.change(
          `DELETE FROM deliveries WHERE run_id = '${made.runId}' AND kind = 'processed'`,
        ),
    ],
  ];
  const remote = (local: string) => `${fixture.sftp.server.folder.disk}/${local.split("/").at(-1)}`;
  for (const [wanted, spoil] of cases) {
    const made = await fixture.run();
    await spoil(made);
    const found = unequal(await verify(fixture, made));
    // the manifest holds the count of valid records, so it differs too
    const counted = wanted[0] === "run counts differs" ? ["deliveries manifest differs"] : [];
    assert.deepEqual(found, [...wanted, ...counted]);
  }
});

test("the finding names the line of the database that differs from the file, and shows no content", async () => {
  await using fixture = await Delivered.open();
  const made = await fixture.run();
  const id = await fileId(fixture, made, "processed") * 1_000_000_000 + 17;
  await fixture.place.change(
    `UPDATE processed_records SET json = json_set(json, '$.ssn', 'SECRET') WHERE id = ${id}`,
  );
  const items = await verify(fixture, made);
  assert.match(detailOf(items, "database", "processed"), /^the record of line 17 isn't the file's/);
  assert.ok(!JSON.stringify(items).includes("SECRET"));
});

test("a manifest on the server with other content is named", async () => {
  await using fixture = await Delivered.open();
  const made = await fixture.run();
  const run = (await fixture.store.runs.byRunId(made.runId))!;
  const { name } = manifestOf(run, (await fixture.store.runs.filesOf([made.runId])).get(made.runId)!);
  await flip(`${fixture.sftp.server.folder.disk}/${name}`);
  assert.deepEqual(unequal(await verify(fixture, made)), ["server manifest differs"]);
});

test("blank lines, CRLF and a byte order mark aren't in the database: records are compared one by one, and verify reports that", async () => {
  await using fixture = await Delivered.open();
  const raw = "\ufeff" + usersText(20).replaceAll("\n", "\r\n").replace("\r\n", "\r\n \r\n");
  const made = await fixture.run({ raw });
  const items = await verify(fixture, made);
  assert.deepEqual(unequal(items), []);
  assert.match(detailOf(items, "database", "raw"), /^20 records, one by one; the database doesn't keep/);
  assert.equal(detailOf(items, "database", "processed").endsWith("the file's bytes"), true);

  const id = await fileId(fixture, made, "raw") * 1_000_000_000 + 20;
  await fixture.place.change(`UPDATE raw_records SET json = json || ' ' WHERE id = ${id}`);
  const changed = await verify(fixture, made);
  assert.deepEqual(unequal(changed), ["database raw differs"]);
  assert.match(detailOf(changed, "database", "raw"), /line 20 /);

  await Deno.remove(made.raw);
  assert.match(
    detailOf(await verify(fixture, made), "database", "raw"),
    /no local copy to compare them with/,
  );
});

test("the same raw file, lookup and rules give the same bytes; if one has changed, verify names it", async () => {
  await using fixture = await Delivered.open();
  const made = await fixture.run();
  assert.equal(detailOf(await verify(fixture, made), "transform", "processed"), "the same bytes again");
  const other = { ...fixture.lookup, sha256: "0".repeat(64) };
  const changed = await verify(fixture, made, { feedOf: () => ({ plan: usersPlan, lookups: other }) });
  assert.deepEqual(unequal(changed), ["transform processed skipped", "transform invalid skipped"]);
  assert.equal(detailOf(changed, "transform", "invalid"), "the lookup file changed since the run");
  const added = fixture.lookup.added.map((member) => ({ ...member, codeOf: () => "XXX" }));
  const lying = { ...fixture.lookup, added };
  assert.deepEqual(
    unequal(await verify(fixture, made, { feedOf: () => ({ plan: usersPlan, lookups: lying }) })),
    [
      "transform processed differs",
    ],
  );
});

test("an unreachable server fails only the comparisons with it, with the reason", async () => {
  await using fixture = await Delivered.open();
  const made = await fixture.run();
  await fixture.sftp.server.kill();
  const items = await verify(fixture, made);
  assert.deepEqual(unequal(items), PLACES.server.map((file) => `server ${file} failed`));
  assert.match(detailOf(items, "server", "raw"), /Cannot reach the SFTP server/);
});

test("without a configured server, an undelivered run has nothing to compare there", async () => {
  await using fixture = await Delivered.open();
  const made = await fixture.run({ deliver: false });
  await fixture.tell(made.runId, Date.now(), {
    type: "phase_completed",
    phase: "DELIVERING",
    detail: { state: "NOT_CONFIGURED" },
  });
  const items = await verify(fixture, made);
  assert.deepEqual(unequal(items), PLACES.deliveries.map((file) => `deliveries ${file} skipped`));
  assert.ok(items.every(({ place }) => place !== "server"));
});

/** Runs the command with the permissions of its task. */
async function command(fixture: Delivered, args: string[], server?: Record<string, string>) {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const [, ...task] = tasks.verify.command.split(" ");
  const here = new URL("../", import.meta.url).pathname;
  const { host, port, user, keyPath, knownHosts, remoteDir } = fixture.sftp.options;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...task.map((part: string) => part === "cli/verify.ts" ? here + part : part), ...args],
    cwd: fixture.sftp.temp,
    env: {
      ...(server ?? {
        SFTP_HOST: host,
        SFTP_PORT: String(port),
        SFTP_USER: user,
        SFTP_KEY_PATH: keyPath,
        SFTP_KNOWN_HOSTS: knownHosts,
        SFTP_REMOTE_DIR: remoteDir,
      }),
      LOOKUP_FILE,
      MASK_FIELDS: "ssn",
    },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

test("deno task verify exits with 0 if all is equal, 1 if not, and 2 for invalid arguments", async () => {
  await using fixture = await Delivered.open();
  const first = await fixture.run({ at: Date.now() - 10_000 });
  const second = await fixture.run();
  const both = await command(fixture, ["--run", "all"]);
  assert.equal(both.code, 0, both.out + both.err);
  assert.equal(
    both.out.split("\n").filter((line) => line.includes(" equal ")).length,
    2 * EVERYTHING.length + 1,
    "and the current state",
  );
  assert.match(both.out, /Checked 2 runs: everything matches\./);

  await flip(first.processed);
  assert.equal((await command(fixture, ["--run", "latest"])).code, 0);
  const changed = await command(fixture, ["--run", first.runId, "--json"]);
  assert.equal(changed.code, 1);
  const items: Item[] = changed.out.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(unequal(items), ["local processed differs"]);
  assert.ok(items.every(({ run_id }) => run_id === first.runId && run_id !== second.runId));

  await Promise.all([[], ["--run", "nonsense"], ["--runs", "all"]].map(async (args) => {
    const { code, err } = await command(fixture, args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, /wanted a run's id|--run ID\|latest\|all/);
  }));
});

Deno.test("without a configured server, deno task verify reads the local server's folder over the same protocol", async () => {
  await using fixture = await Delivered.open({ kind: OURS });
  const made = await fixture.run();
  const { temp, server } = fixture.sftp;
  await server.kill();
  await Deno.rename(server.folder.disk, `${temp}/sftp_data`);
  await Deno.mkdir(`${temp}/ssh_keys`);
  for (
    const [from, to] of [["id_rsa", "id_rsa"], ["sftp_user.pub", "sftp_user.pub"], [
      "host_key",
      "ssh_host_ed25519_key",
    ]]
  ) {
    await Deno.copyFile(`${temp}/${from}`, `${temp}/ssh_keys/${to}`);
  }
  await Deno.copyFile(`${temp}/host_key.pub`, `${temp}/ssh_keys/ssh_host_ed25519_key.pub`);
  const before = await Array.fromAsync(Deno.readDir(`${temp}/ssh_keys`));
  const good = await command(fixture, ["--run", "latest"], {});
  assert.equal(good.code, 0, good.out + good.err);
  assert.equal((good.out.match(/server +\w+ +equal/g) ?? []).length, 4);

  await Deno.remove(`${temp}/sftp_data/${made.invalid.split("/").at(-1)}`);
  const bad = await command(fixture, ["--run", "latest"], {});
  assert.equal(bad.code, 1);
  assert.match(
    bad.out,
    /server +invalid +missing +\/upload\/\S+ isn't on the SFTP server\. Request the delivery again/,
  );
  assert.deepEqual(await Array.fromAsync(Deno.readDir(`${temp}/ssh_keys`)), before);
});
