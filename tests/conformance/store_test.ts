/**
 * Runs the conformance suite of the store for each engine.
 *
 * @module
 */
import { openPostgres } from "../../shared/store/postgres/store.ts";
import { openPostgresToRead } from "../../shared/store/postgres/reads.ts";
import { openSqlite, openSqliteToRead } from "../../shared/store/sqlite/open.ts";
import { needing } from "../support/needs.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { storeConformance, type StoreEngine } from "./store.ts";

const sqlite: StoreEngine = {
  async open(pipelines = []) {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/data.db`;
    const store = await openSqlite(path, { pipelines });
    return {
      store,
      another: () => openSqlite(path, { pipelines }),
      reader: () => Promise.resolve(openSqliteToRead(path)!),
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      },
    };
  },
};

const postgresOn = (server: PostgresServer): StoreEngine => ({
  async kill() {
    await server.kill();
    await server.start();
  },
  async open(pipelines = []) {
    const url = await server.createDatabase();
    const store = await openPostgres(url, pipelines);
    return {
      store,
      another: () => openPostgres(url, pipelines),
      reader: async () => (await openPostgresToRead(url, "test"))!,
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]();
      },
    };
  },
});

Deno.test("SQLite keeps what every store promises", (t) => storeConformance(t, sqlite));

needing("postgres")("PostgreSQL keeps what every store promises", async (t) => {
  await using server = await startPostgres();
  await storeConformance(t, postgresOn(server));
});
