import type { FileFacts } from "../../shared/files/files.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { usersPlan } from "../../tests/support/users.ts";
import { readLookups } from "../../transformer/lookup.ts";
import { transform } from "../../transformer/transform.ts";
import { Users } from "../../local/source/users.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { BenchEnvironment } from "./environment.ts";

interface RawFile extends FileFacts {
  readonly records: number;
}

interface RunFiles {
  readonly raw: RawFile;
  readonly processed: RawFile;
  readonly dead: RawFile;
}

/** A raw file of `users`, of which a tenth break a rule. */
export function rawFile(environment: BenchEnvironment, users: number): Promise<RawFile> {
  return environment.once(`raw ${users}`, async () => {
    const all = new Users(0.1, 1);
    const files = new LocalFiles("data");
    await using part = await files.create(files.path("raw_users", `bench_${users}.jsonl`));
    for (let index = 0; index < users; index++) await part.write(`${all.json(index)}\n`);
    return { ...await part.publish(), records: users };
  });
}

/** The three files of a run over `users`. */
export function runFiles(environment: BenchEnvironment, users: number): Promise<RunFiles> {
  return environment.once(`run ${users}`, async () => {
    const raw = await rawFile(environment, users);
    const files = new LocalFiles("data");
    const { added } = await readLookups(usersPlan);
    await using processed = await files.create(
      files.path("processed_users", `etl_bench_${users}.jsonl`),
    );
    await using dead = await files.create(files.path("dlq", `invalid_users_bench_${users}.jsonl`));
    const { valid, invalid } = await transform(files.lines(raw.name), {
      processed,
      dead,
      plan: usersPlan,
      added,
      progress: () => {},
    });
    return {
      raw,
      processed: { ...await processed.publish(), records: valid },
      dead: { ...await dead.publish(), records: invalid },
    };
  });
}

export function namesOf({ raw, processed, dead }: RunFiles): string[] {
  return [raw.name, processed.name, dead.name];
}

/** The fields of the order to load these files as a new run. */
export function orderToLoad({ raw, processed, dead }: RunFiles) {
  return {
    run_id: newRunId(),
    raw_file: raw.name,
    processed_file: processed.name,
    dlq_file: dead.name,
    valid_count: processed.records,
    invalid_count: dead.records,
    raw_sha256: raw.sha256,
    processed_sha256: processed.sha256,
    dlq_sha256: dead.sha256,
  };
}
