import { runService } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import { redisUrlOf, storePlaceOf } from "../shared/config/variables.ts";
import { variable } from "../shared/config/config.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { createApp } from "./app.ts";
import { openAuditLog } from "./audit.ts";
import { ApiVariables } from "./config.ts";
import { listen } from "./server.ts";
import { openSqlConsole } from "./sql/console.ts";
import { openPostgresConsole } from "./sql/postgres.ts";
import { openStoreToRead, type StorePlace } from "../shared/store/open.ts";
import type { ReadStore } from "../shared/store/store.ts";

/** The database, opened at the first access after the saver has created it. */
class StoreOnceMade implements AsyncDisposable {
  #opened: Promise<ReadStore | undefined> | undefined;

  constructor(private readonly place: StorePlace) {}

  async get(): Promise<ReadStore | undefined> {
    const opened = this.#opened ??= openStoreToRead(this.place);
    const store = await opened.catch((error) => {
      this.#opened = undefined;
      throw error;
    });
    if (store === undefined) this.#opened = undefined;
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#opened?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

if (import.meta.main) {
  await runService("api", ApiVariables, async (config, { use, signal, log }) => {
    const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
    const audit = use(await openAuditLog(`${config.DATA_DIR}/state/audit.jsonl`));
    const store = use(new StoreOnceMade(storePlaceOf(config)));
    const bounds = {
      timeoutMs: config.SQL_TIMEOUT_MS,
      maxRows: config.SQL_MAX_ROWS,
      maxBytes: config.SQL_MAX_BYTES,
    };
    const sql = config.DATABASE_URL === undefined
      ? use(openSqlConsole({ path: config.DB_PATH, ...bounds }))
      : openPostgresConsole({ url: config.SQL_DATABASE_URL, store: () => store.get(), ...bounds });
    const pipelines = await loadPipelines(pipelinesDir(config.PIPELINES_DIR));
    const app = createApp({
      config,
      channel,
      audit,
      sql,
      log,
      pipelines,
      readEnv: variable,
      store: () => store.get(),
    });
    const server = await listen(app, { hostname: config.API_HOST, port: config.API_PORT });
    log.info("ready", { host: config.API_HOST, port: server.port });
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await server.close(8_000);
  });
}
