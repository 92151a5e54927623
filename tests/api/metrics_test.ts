import assert from "node:assert/strict";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import { RUN_STATUSES } from "../../shared/contracts/messages.ts";
import { openApi } from "../support/api.ts";

const read = (name: string) => Deno.readTextFile(new URL(`../../docs/${name}`, import.meta.url));
const section = (text: string, title: string) => text.split(/^## /m).find((part) => part.startsWith(title))!;

Deno.test("the docs name exactly the metrics of /metrics", async () => {
  await using api = await openApi();
  const text = await (await api.send("/metrics")).text();
  const there = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
  const namesIn = (text: string) => [...new Set(text.match(/\betl_[a-z_]+/g))].sort();
  assert.deepEqual(namesIn(section(await read("api.md"), "Monitoring")), there.sort());
  const watched = section(await read("operations.md"), "What to watch");
  const alarms = namesIn(watched);
  assert.ok(alarms.length >= 8);
  assert.deepEqual(alarms.filter((name) => !there.includes(name)), []);
  for (const [, label, value] of watched.matchAll(/(channel|status|outcome)="([^"]*)"/g)) {
    const known = { channel: Object.keys(CHANNELS), status: RUN_STATUSES, outcome: ["missing"] }[label!]!;
    assert.ok((known as readonly string[]).includes(value!), `${label} ${value}`);
  }
});
