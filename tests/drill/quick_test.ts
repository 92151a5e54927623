import assert from "node:assert/strict";
import { sharing } from "../support/engines.ts";
import { needing } from "../support/needs.ts";
import { Skip } from "./case.ts";
import { CASES } from "./cases.ts";

for (const { name, fault, quick, usesPostgres, run } of CASES) {
  if (!quick) continue;
  if (usesPostgres) sharing();
  const test = needing("redis-server", "sshd", ...usesPostgres ? ["postgres" as const] : []);
  test(`drill ${name}: ${fault}`, async () => {
    try {
      const { lost, twice } = await run(0.01);
      assert.deepEqual({ lost, twice }, { lost: 0, twice: 0 });
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
    }
  });
}
