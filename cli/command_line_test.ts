import assert from "node:assert/strict";
import { programPath } from "./services.ts";

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--allow-all", programPath(args[0]!), ...args.slice(1)],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), [], "nothing is left behind");
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
    return { code, out, err };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Each command as its task starts it, and a pattern of its usage text. */
const COMMANDS: [words: string[], usage: RegExp][] = [
  [["cli/pipeline.ts", "start"], /deno task start/],
  [["cli/pipeline.ts", "run"], /deno task start \| run/],
  [["cli/pipeline.ts", "demo"], /demo \[--once\]/],
  [["cli/service.ts", "extractor"], /\[--once\]/],
  [["cli/service.ts", "api"], /deno task extractor\|/],
  [["cli/doctor.ts"], /deno task doctor/],
  [["cli/verify.ts"], /--run ID\|latest\|all/],
  [["cli/retention.ts"], /\[--days N\]/],
  [["cli/migrate.ts"], /--to postgres:/],
  [["cli/keygen.ts"], /\[--dir ssh_keys\]/],
  [["cli/etl.ts", "runs"], /deno task etl/],
  [["local/source.ts"], /\[--users 208\]/],
  [["local/sftp_server.ts"], /\[--root sftp_data\]/],
  [["scripts/generate.ts"], /\[--check\]/],
  [["scripts/drill.ts"], /\[--case NAME\]/],
  [["scripts/bench.ts"], /\[--rows/],
];

for (const [words, usage] of COMMANDS) {
  Deno.test(`${words.join(" ")} refuses what it doesn't know with exit code 2 and what there is`, async () => {
    const [help, ...refused] = await Promise.all(
      ["--help", "NAME"].map((arg) => run(...words, arg)),
    );
    for (const { code, out, err } of refused) {
      assert.equal(code, 2, out + err);
      assert.equal(out, "");
      assert.match(err, /^.*NAME.*\n/);
      assert.match(err, usage);
    }
    assert.deepEqual([help!.code, help!.err], [0, ""]);
    assert.match(help!.out, usage);
  });
}

Deno.test("an option of another command is refused, and an unusable value is named", async () => {
  const wanted: [string[], RegExp][] = [
    [["cli/doctor.ts", "--unknown"], /'--unknown'\.\nUsage: deno task doctor/],
    [["cli/pipeline.ts", "run", "--once"], /--once with run: only demo takes it/],
    [["cli/pipeline.ts", "demo", "--bad", "2"], /--bad is "2", wanted a number from 0 to 1/],
    [["cli/service.ts", "saver", "--once"], /--once with saver: only the extractor takes it/],
    [["cli/etl.ts", "runs", "--watch"], /'--watch'/],
    [["cli/etl.ts", "show", "1", "2"], /"2"/],
    [["cli/etl.ts", "dead", "list", "2"], /Wanted dead, dead replay ID or dead discard ID/],
    [["cli/pipeline.ts", "demo", "--users", "100000001"], /--users is "100000001", wanted .* to 100000000/],
    [["cli/retention.ts", "--days", "few"], /--days is "few", wanted a whole number from 0/],
    [["local/source.ts", "--users", "few"], /--users is "few"/],
    [["local/source.ts", "--bad", "2"], /--bad is "2", wanted a number from 0 to 1/],
    [["local/sftp_server.ts", "--port", "ssh"], /--port is "ssh", wanted a whole number from 0 to 65535/],
  ];
  await Promise.all(wanted.map(async ([words, expected]) => {
    const { code, out, err } = await run(...words);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, expected);
  }));
});
