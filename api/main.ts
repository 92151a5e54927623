/**
 * The API service.
 *
 * @module
 */
import { runService } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import { redisUrlOf } from "../shared/config/variables.ts";
import { variable } from "../shared/config/config.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { openStoreReadOnly, type ReadStore } from "../shared/store/sqlite/open.ts";
import { createApp } from "./app.ts";
import { openAuditLog } from "./audit.ts";
import { ApiVariables } from "./config.ts";
import { listen } from "./server.ts";
import { openSqlConsole } from "./sql/console.ts";

/** The database, opened when it is first asked for after the saver has made it. */
class StoreOnceMade implements Disposable {
  #store: ReadStore | undefined;

  constructor(private readonly path: string) {}

  get(): ReadStore | undefined {
    return this.#store ??= openStoreReadOnly(this.path);
  }

  [Symbol.dispose](): void {
    this.#store?.[Symbol.dispose]();
  }
}

if (import.meta.main) {
  await runService("api", ApiVariables, async (config, { use, signal, log }) => {
    const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
    const audit = use(await openAuditLog(`${config.DATA_DIR}/state/audit.jsonl`));
    const sql = use(openSqlConsole({
      path: config.DB_PATH,
      timeoutMs: config.SQL_TIMEOUT_MS,
      maxRows: config.SQL_MAX_ROWS,
      maxBytes: config.SQL_MAX_BYTES,
    }));
    const store = use(new StoreOnceMade(config.DB_PATH));
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
