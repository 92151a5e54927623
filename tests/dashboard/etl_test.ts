import assert from "node:assert/strict";
import { programPath } from "../../cli/services.ts";
import type { Ended } from "../support/test_pipeline.ts";
import { type Site, startSite } from "./site.ts";

const lines = ({ stdout }: Ended) =>
  stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));

/** Runs the command and asserts its exit code. */
async function etl({ pipeline }: Site, code: number, ...args: string[]): Promise<Ended> {
  const ended = await pipeline.task("etl", ...args);
  assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stdout}${ended.stderr}`);
  return ended;
}

Deno.test("in a terminal a run is started, followed, shown, verified, repaired in the editor and replayed", async (t) => {
  await using site = await startSite({ users: 60, bad: 0.5 });
  const { pipeline } = site;

  await t.step("start --watch follows the run to its end", async () => {
    const { stdout } = await etl(site, 0, "start", "--watch");
    assert.match(stdout, /phase completed {2}transforming {2}records 60, valid 30, invalid 30/);
    assert.match(stdout, /Run \d+ COMPLETED: 30 valid, 30 invalid\n$/);
  });
  const run = pipeline.runs()[0]!;

  await t.step("runs, show, watch and invalid print their results for people and for programs", async () => {
    assert.match(
      (await etl(site, 0, "runs")).stdout,
      /^run +pipeline +requested .*\n\d+ +users .* COMPLETED +30 +30 /,
    );
    const [listed] = lines(await etl(site, 0, "runs", "--json"));
    assert.deepEqual([listed.runId, listed.status], [run.run_id, "COMPLETED"]);
    const shown = (await etl(site, 0, "show", "latest")).stdout;
    for (const part of ["Phases", "Reasons of invalid records", "Files", "Delivery DELIVERED", "Events"]) {
      assert.ok(shown.includes(`\n${part}`), part);
    }
    assert.equal(lines(await etl(site, 0, "show", String(run.id), "--json"))[0].runId, run.run_id);
    assert.match((await etl(site, 0, "watch", run.run_id)).stdout, /COMPLETED/);
    const bad = lines(await etl(site, 0, "invalid", "latest", "--json", "--reason", "age: greater than 65"));
    assert.ok(bad.length > 0 && bad.every(({ data }) => data.age > 65 && data.password === "***"));
    const all = lines(await etl(site, 0, "invalid", "latest", "--json"));
    const few = lines(await etl(site, 0, "invalid", "latest", "--json", "--limit", "2"));
    assert.deepEqual([all.length, few], [30, all.slice(0, 2)]);
  });

  await t.step("verify compares all places", async () => {
    const { stdout } = await etl(site, 0, "verify", String(run.id));
    assert.match(stdout, /Checked 1 run: everything matches\./);
  });

  await t.step(
    "repair opens the records of a reason in the editor, checks them and replays them",
    async () => {
      pipeline.env.EDITOR = 'sed -i s/"age":[0-9.]*/"age":40/';
      const reason = ["--reason", "age: greater than 65"];
      const checked = await etl(site, 1, "repair", "latest", ...reason, "--check");
      assert.match(checked.stdout, /valid/);
      assert.equal(pipeline.runs().length, 1);
      const refused = await etl(site, 1, "repair", "latest", "--reason", "age: less than 18");
      assert.match(refused.stderr, /Not confirmed/);
      const { stdout } = await etl(site, 0, "repair", "latest", "--reason", "age: less than 18", "--yes");
      assert.match(stdout, /Run \d+ COMPLETED: 4 valid, 0 invalid\n$/);
      const correction = pipeline.runs()[0]!;
      assert.equal(correction.correction_of, run.run_id);
      for (const line of await pipeline.lines(correction.raw_file!)) {
        assert.match(line, /"age":40/);
        assert.ok(!line.includes("***"));
      }
    },
  );

  await t.step("one field is set in all records of a reason", async () => {
    const which = [
      String(run.id),
      "--reason",
      "company.department: empty",
      "--set",
      "company.department=Legal",
    ];
    const { stdout } = await etl(site, 0, "repair", ...which, "--yes");
    assert.match(stdout, /COMPLETED: \d valid, 0 invalid/);
  });

  await t.step(
    "edited records are read from a file; unusable ones are reported with their line",
    async () => {
      await Deno.writeTextFile(`${pipeline.folder}/edited.jsonl`, '{"$id":"7"}\n');
      const { stderr } = await etl(site, 2, "repair", String(run.id), "--from", "edited.jsonl");
      assert.match(stderr, /Cannot use line 1: its \$id "7" is none of the records/);
      const missing = await etl(site, 2, "repair", String(run.id), "--from", "none.jsonl");
      assert.match(missing.stderr, /Cannot read "none\.jsonl": .*\. Give --from a file/);
    },
  );

  await t.step(
    "an editor that can't be started leaves no records behind, and a number too large stays text",
    async () => {
      const { EDITOR } = pipeline.env;
      pipeline.env.EDITOR = "no-such-editor";
      pipeline.env.TMPDIR = pipeline.folder;
      const { stderr } = await etl(site, 2, "repair", String(run.id));
      assert.match(stderr, /Cannot start the editor "no-such-editor": .*\. Set EDITOR to a program/);
      const names = (await Array.fromAsync(Deno.readDir(pipeline.folder))).map(({ name }) => name);
      assert.ok(!names.some((name) => name.startsWith("etl-repair-")), names.join());
      delete pipeline.env.TMPDIR;
      pipeline.env.EDITOR = EDITOR;
      const { stdout } = await etl(site, 1, "repair", String(run.id), "--set", "age=1e400", "--check");
      assert.match(stdout, /age: "1e400" is not a number/);
    },
  );

  await t.step("redeliver requests the delivery", async () => {
    assert.deepEqual(lines(await etl(site, 0, "redeliver", String(run.id), "--json")), [{
      runId: run.run_id,
    }]);
  });

  await t.step("dead messages are listed, sent again, and discarded", async () => {
    const dead = () =>
      pipeline.channel.mailbox("channel:phase1_complete").state().then((state) => state.dead);
    await pipeline.channel.publish({ to: "channel:phase1_complete", id: "m1", body: "{}" });
    await pipeline.until("a dead letter", async () => await dead() === 1);
    const [letter] = lines(await etl(site, 0, "dead", "--json"));
    assert.match((await etl(site, 0, "dead")).stdout, /raw_file/);
    await etl(site, 0, "dead", "replay", letter.id);
    await pipeline.until("it is dead again", async () => await dead() === 1);
    const [again] = lines(await etl(site, 0, "dead", "--json"));
    await etl(site, 1, "dead", "discard", again.id);
    await etl(site, 0, "dead", "discard", again.id, "--yes");
    assert.equal(await dead(), 0);
  });

  await t.step(
    "exit codes distinguish a wrong command, a missing run, an unreachable API and another server",
    async () => {
      assert.match((await etl(site, 2, "nonsense")).stderr, /deno task etl COMMAND/);
      assert.match((await etl(site, 2, "show", "999")).stderr, /There is no run "999"/);
      assert.match(
        (await etl(site, 2, "runs", "--limit", "x")).stderr,
        /--limit is "x", wanted a whole number from 1/,
      );
      pipeline.env.ETL_API_URL = "http://127.0.0.1:9";
      assert.match((await etl(site, 3, "runs")).stderr, /Cannot reach the API/);
      let answer = new Response("<html>Welcome</html>");
      await using other = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen: () => {} },
        () => answer.clone(),
      );
      pipeline.env.ETL_API_URL = `http://127.0.0.1:${other.addr.port}`;
      assert.match(
        (await etl(site, 1, "runs")).stderr,
        /^Cannot use the answer of "\S+\/graphql": it is no JSON object, .* in ETL_API_URL, or in API_HOST and API_PORT\.$/m,
      );
      for (
        const [init, body, what] of [
          [{ status: 404 }, "<html>", "404 Not Found, which no ETL API answers"],
          [{ status: 405 }, '{"error":"POST"}', "405 Method Not Allowed, which no ETL API answers"],
          [{ status: 501 }, "", "501 Not Implemented, which no ETL API answers"],
          [{ status: 400 }, '{"errors":{"body":"unknown"}}', "without data"],
        ] as const
      ) {
        answer = new Response(body, init);
        assert.equal(
          (await etl(site, 1, "runs")).stderr.trimEnd(),
          `Cannot use the answer of "${pipeline.env.ETL_API_URL}/graphql": it is ${what}, wanted an answer of the API. ` +
            "Name the API's address in ETL_API_URL, or in API_HOST and API_PORT.",
        );
      }
      pipeline.env.ETL_API_URL = "ftp://nowhere";
      assert.match((await etl(site, 2, "runs")).stderr, /ETL_API_URL is "ftp:\/\/nowhere": wanted a URL/);
    },
  );
});

Deno.test("a run that fails ends start --watch with code 1, and a wrong token with 3", async () => {
  const API_TOKEN = "a-token-that-is-long";
  await using site = await startSite({
    wrap: () => () => new Response("", { status: 404 }),
    env: { API_TOKEN },
  });
  const { stderr } = await etl(site, 1, "start", "--watch");
  assert.match(stderr, /Run \d+ FAILED: .*404/);
  site.pipeline.env.API_TOKEN = "another-token-that-is-long";
  assert.match((await etl(site, 3, "runs")).stderr, /The API requires a token/);
});

Deno.test("a run is followed to its end even if a proxy refuses the event stream and cuts an answer off", async () => {
  await using site = await startSite({ users: 60, bad: 0 });
  let reads = 0;
  const onError = () => new Response(null, { status: 500 });
  await using proxy = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError },
    async (request) => {
      if (request.headers.get("accept") === "text/event-stream") return new Response(null, { status: 403 });
      const body = await request.text();
      if (body.includes("etlRun(") && ++reads === 2) return new Response(cutOff());
      return await fetch(`${site.base}/graphql`, { method: "POST", headers: request.headers, body });
    },
  );
  site.pipeline.env.ETL_API_URL = `http://127.0.0.1:${proxy.addr.port}`;
  const { stdout } = await etl(site, 0, "start", "--watch");
  assert.match(stdout, /Run \d+ COMPLETED: 60 valid, 0 invalid\n$/);
  assert.ok(reads > 2);
});

/** Returns the first part of a response whose connection breaks. */
function cutOff(): ReadableStream<Uint8Array> {
  return ReadableStream.from((async function* () {
    yield new TextEncoder().encode('{"data":');
    await Promise.resolve();
    throw new Error("cut off");
  })());
}

Deno.test("on a terminal a bar shows the progress", async () => {
  await using site = await startSite({ users: 60, bad: 0, delayMs: 200, env: { BATCH_SIZE: "10" } });
  const { folder, env } = site.pipeline;
  const program = programPath("cli/etl.ts");
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", `${Deno.execPath()} run -A ${program} start --watch`, "/dev/null"],
    cwd: folder,
    env: { API_PORT: env.API_PORT!, TERM: "xterm" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.match(text, /extractor .*█.* \d+% \d0\/60/);
  assert.match(text, /COMPLETED: 60 valid, 0 invalid/);
});
