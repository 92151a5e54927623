import assert from "node:assert/strict";
import { LocalFiles } from "../../shared/files/local.ts";
import { S3Files } from "../../shared/files/s3/files.ts";
import { needing, placeOf, SWIFT } from "../support/needs.ts";
import { keysIn, putObject, readObject, type S3Server, startS3, uploadsIn } from "../support/s3.ts";
import { startS3Proxy } from "../support/s3_proxy.ts";
import { filesConformance, type FilesStage } from "./files.ts";

const MIB = 1024 * 1024;

filesConformance({ name: "a folder", open: openFolder, step: MIB, part: MIB }, Deno.test);

async function openFolder(): Promise<FilesStage> {
  const root = await Deno.makeTempDir({ prefix: "files-" });
  const traces = async (folder: string): Promise<string[]> => {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    const found = entries.map(({ name, isDirectory }) =>
      isDirectory ? traces(`${folder}/${name}`) : [`${folder}/${name}`]
    );
    return (await Promise.all(found)).flat().sort();
  };
  return {
    open: () => new LocalFiles(root),
    damage: (path, text) => Deno.writeTextFile(path, text),
    async spoil(path, how) {
      if (how === "lost") return await Deno.truncate(`${path}.part`, 5);
      using file = await Deno.open(`${path}.part`, { write: true });
      await file.write(new TextEncoder().encode("X"));
    },
    traces: () => traces(root),
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

const s3Test = needing(...SWIFT);
let server: S3Server;
const isThere = SWIFT.every((program) => placeOf(program) !== undefined);
Deno.test.beforeAll(async () => {
  if (isThere) server = await startS3();
});
Deno.test.afterAll(async () => {
  if (isThere) await server[Symbol.asyncDispose]();
});

for (const conditional of [false, true]) {
  const name = conditional ? "a store that knows If-None-Match" : "a store that doesn't know If-None-Match";
  filesConformance({ name, open: () => openBucket(conditional), step: 5 * MIB, part: 15 * MIB }, s3Test);
}

async function openBucket(conditional: boolean): Promise<FilesStage> {
  const place = await server.bucket();
  const proxy = conditional ? startS3Proxy(place, { conditional }) : undefined;
  return {
    open: () => new S3Files(proxy?.place ?? place, { delayMs: 10 }),
    damage: (path, text) => putObject(place, `etl/${path}`, text),
    async spoil(path, how) {
      const writer = await readObject(place, `etl/${path}.part`);
      const [part] = await keysIn(place, `etl/${path}.part/${writer}/`);
      assert.ok(part !== undefined);
      await putObject(place, part, how === "lost" ? "" : "X".repeat(5 * MIB));
    },
    traces: async () => [...await keysIn(place), ...await uploadsIn(place)],
    [Symbol.asyncDispose]: async () => await proxy?.[Symbol.asyncDispose](),
  };
}
