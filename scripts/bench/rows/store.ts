import { LocalFiles } from "../../../shared/files/local.ts";
import { S3Files } from "../../../shared/files/s3/files.ts";
import type { S3Place } from "../../../shared/files/s3/place.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { childrenOf, ticksOf } from "../../../tests/support/processes.ts";
import { variablesOf } from "../../../tests/support/s3.ts";
import { curlPages } from "../baselines.ts";
import { rawFile } from "../fixtures.ts";
import { type Cost, costOf, inTurn, spreadOf } from "../measure.ts";
import { shell } from "../programs.ts";
import type { Row } from "../table.ts";
import { wholeRun } from "./whole_run.ts";

/**
 * The files of runs in a store on the same machine: a raw file uploaded and downloaded against rclone, and whole runs
 * against local ones.
 */
export const store: Row = {
  name: "store",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const others = await childrenOf(Deno.pid);
    const server = await environment.store();
    const serverPid = (await childrenOf(Deno.pid)).find((pid) => !others.includes(pid))!;
    const place = await server.bucket();
    const [files, local] = [new S3Files(place), new LocalFiles("data")];
    const raw = await rawFile(environment, users);
    const path = files.path("raw_users", "bench.jsonl");
    const up = await inTurn(turns, () => rclone(place, raw.name, "THEIRS"), async () => {
      await files.remove(path);
      return await costOf(async () => {
        await using file = await files.create(path);
        for await (const block of local.blocks(raw.name)) await file.write(block);
        await file.publish();
      });
    });
    yield { what: `upload of ${megabytes(raw.bytes)}`, ...up, unit: "x", target: { atMost: 1.3 } };
    const down = await inTurn(turns, () => rclone(place, "THEIRS", "theirs.jsonl"), () =>
      costOf(async () => {
        using file = await Deno.create("ours.jsonl");
        for await (const block of files.blocks(path)) {
          for (let at = 0; at < block.length;) at += await file.write(block.subarray(at));
        }
      }));
    yield { what: `download of ${megabytes(raw.bytes)}`, ...down, unit: "x", target: { atMost: 1.3 } };

    await curlPages(await environment.source(users), users); // the source generates its users at the first request
    await using database = await startPostgres();
    const stored = async () => variablesOf(await server.bucket());
    const forms = {
      "a store": stored,
      "a store and PostgreSQL": async () => ({
        ...await stored(),
        DATABASE_URL: await database.createDatabase(),
      }),
    };
    for (const [form, variables] of Object.entries(forms)) {
      const cpu = { local: [] as number[], services: [] as number[], store: [] as number[] };
      const peaks: { service: string; peak: number }[][] = [];
      const runs = await inTurn(turns, async () => {
        const run = await wholeRun(environment, users);
        cpu.local.push(run.cpu);
        return run;
      }, async () => {
        const before = await cpuOf(serverPid);
        const run = await wholeRun(environment, users, await variables());
        cpu.services.push(run.cpu);
        cpu.store.push(await cpuOf(serverPid) - before);
        peaks.push(run.peaks);
        return run;
      });
      yield {
        what: `whole run of ${users} users with ${form}, to a local one`,
        ...runs,
        unit: "x",
        ...form === "a store" ? { target: { atMost: 1.6 } } : {},
      };
      for (const [of, seconds] of Object.entries(cpu)) {
        const whose = {
          local: "the services of the local one",
          services: "its services",
          store: "its store",
        };
        yield { what: `CPU time of ${whose[of as keyof typeof cpu]}`, figure: spreadOf(seconds), unit: "s" };
      }
      for (const [i, { service }] of peaks[0]!.entries()) {
        const what = `peak memory of the ${service} with ${form}, ${users} users`;
        yield {
          what,
          figure: spreadOf(peaks.map((run) => run[i]!.peak)),
          unit: "MB",
          target: { atMost: 200 },
        };
      }
    }
  },
};

/** CPU seconds of a process and its descendants. */
async function cpuOf(pid: number): Promise<number> {
  const all = await Promise.all([pid, ...await childrenOf(pid)].map(ticksOf));
  return all.reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) / 100;
}

/** Copies a file; `THEIRS` is a separate object in the bucket. */
function rclone(
  { bucket, endpoint, accessKeyId, secretAccessKey }: S3Place,
  from: string,
  to: string,
): Promise<Cost> {
  const remote = `:s3,provider=Other,access_key_id=${accessKeyId},secret_access_key=${secretAccessKey},` +
    `endpoint="${endpoint}",region=us-east-1:${bucket}/theirs`;
  const named = (name: string) => `'${name === "THEIRS" ? remote : name}'`;
  const options = "--config /dev/null --ignore-times --s3-no-check-bucket";
  // rclone 1.60 can't use the machine's own certificates, and needs none here
  return shell(`env -u AWS_CA_BUNDLE rclone copyto ${options} ${named(from)} ${named(to)}`);
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
