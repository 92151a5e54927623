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

Deno.test("a host whose actors have all been heard of is well", () => {
  const beats = [beat({}), beat({ actor: "courier", state: "working", at: NOW - 12_000 })];
  assert.equal(complaint(beats, "here", NOW), undefined);
});

Deno.test("an actor that is silent or has stopped is complained about", () => {
  const beats = [beat({}), beat({ actor: "courier", at: NOW - 31_000 })];
  assert.equal(complaint(beats, "here", NOW), "courier was last heard of 31 s ago.");
  assert.match(complaint([beat({ state: "stopped" })], "here", NOW) ?? "", /saver/);
});

Deno.test("what an earlier process of the same host said doesn't count, nor what other hosts say", () => {
  const beats = [beat({ at: NOW - 60_000 }), beat({ state: "stopped", at: NOW - 50_000 }), beat({})];
  assert.equal(complaint(beats, "here", NOW), undefined);
  assert.match(complaint([beat({ host: "there" })], "here", NOW) ?? "", /No actor of here/);
});
