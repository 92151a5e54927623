import assert from "node:assert/strict";
import { env, integer, pipeline, secret } from "etl";
import * as z from "zod";
import { resolved, variablesOf } from "./resolve.ts";

const feed = pipeline({
  name: "feed",
  schedule: env("FEED_SCHEDULE", "off"),
  record: z.object({ id: integer }),
  key: "id",
  source: {
    url: env("FEED_URL", "https://api.example.org"),
    auth: {
      oauth2: { token: "https://id.example.org/token", id: secret("FEED_ID"), secret: secret("FEED_SECRET") },
    },
    paging: { by: "offset", offset: "skip", limit: "limit", size: env("FEED_SIZE", 100) },
  },
});
const from = (values: Record<string, string>) => (name: string) => values[name];

Deno.test("a placeholder becomes the variable's value, or the fallback", () => {
  const { value, problems } = resolved(
    feed.source,
    from({ FEED_ID: "me", FEED_SECRET: "s", FEED_SIZE: "50", FEED_URL: "" }),
    "source",
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(value, {
    url: "https://api.example.org",
    auth: { oauth2: { token: "https://id.example.org/token", id: "me", secret: "s" } },
    paging: { by: "offset", offset: "skip", limit: "limit", size: 50 },
  });
  assert.deepEqual(resolved(feed.schedule, from({}), "schedule"), { value: "off", problems: [] });
});

Deno.test("every missing or wrong value is reported at once, and no secret is quoted", () => {
  const { problems } = resolved(
    feed,
    from({ FEED_SECRET: "hush\nhush", FEED_SIZE: "0", FEED_URL: "example.org", FEED_SCHEDULE: "often" }),
    "definition",
  );
  assert.deepEqual(problems, [
    'FEED_SCHEDULE is "often": wanted a cron pattern with a time to come, or off',
    'FEED_URL is "example.org": wanted an address that begins with https:// or http://',
    "FEED_SIZE is 0: wanted a whole number from 1 to 10000",
    "FEED_ID is unset: wanted a secret; set it in the environment or in .env",
    "FEED_SECRET is (hidden): wanted one line",
  ]);
  assert.deepEqual(resolved(feed.source, from({ FEED_ID: "a", FEED_SECRET: "b", FEED_SIZE: "x" })).problems, [
    'FEED_SIZE is "x": wanted a number, such as 100',
  ]);
});

Deno.test("a definition lists the variables that it uses", () => {
  assert.deepEqual(variablesOf(feed), ["FEED_SCHEDULE", "FEED_URL", "FEED_ID", "FEED_SECRET", "FEED_SIZE"]);
  assert.deepEqual(variablesOf(feed.source.paging), ["FEED_SIZE"]);
});
