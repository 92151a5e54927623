import assert from "node:assert/strict";
import type { Beat } from "../../shared/channel/channel.ts";
import { complaint } from "./healthy.ts";

const NOW = 1_000_000;

function beat(of: Partial<Beat>): Beat {
  return {
    actor: "saver",
    instance: `${of.host ?? "here"}:1:${crypto.randomUUID()}`,
    host: "here",
    pid: 1,
    mailbox: "channel:phase2_complete",
    state: "idle",
    handled: 0,
    failed: 0,
    startedAt: 0,
    at: NOW,
    ...of,
  };
}

Deno.test("a host is healthy while all its actors have reported recently", () => {
  const beats = [beat({}), beat({ actor: "courier", state: "working", at: NOW - 12_000 })];
  assert.equal(complaint(beats, "here", NOW), undefined);
});

Deno.test("a silent or stopped actor is reported", () => {
  const beats = [beat({}), beat({ actor: "courier", at: NOW - 31_000 })];
  assert.equal(complaint(beats, "here", NOW), "courier last reported 31 s ago.");
  assert.match(complaint([beat({ state: "stopped" })], "here", NOW) ?? "", /saver/);
});

Deno.test("reports of an earlier process of the same host and of other hosts don't count", () => {
  const beats = [beat({ at: NOW - 60_000 }), beat({ state: "stopped", at: NOW - 50_000 }), beat({})];
  assert.equal(complaint(beats, "here", NOW), undefined);
  assert.match(complaint([beat({ host: "there" })], "here", NOW) ?? "", /No actor of here/);
});
