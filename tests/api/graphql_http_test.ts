import assert from "node:assert/strict";
import { serverAudits } from "graphql-http";
import { openApi, ORIGIN } from "../support/api.ts";

Deno.test("the GraphQL over HTTP specification is fully implemented", async (t) => {
  await using pipeline = await openApi();
  const audits = serverAudits({
    url: `${ORIGIN}/graphql`,
    fetchFn: (url: string, init?: RequestInit) => pipeline.send(url, init),
  });
  assert.ok(audits.length >= 60);
  for (const audit of audits) {
    await t.step(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();
      assert.equal(result.status, "ok", "reason" in result ? result.reason : "");
    });
  }
});
