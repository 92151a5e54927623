import assert from "node:assert/strict";
import fc from "fast-check";
import { IdSet } from "./ids.ts";
import { idOf, recordPaths } from "./records.ts";

function id(line: string) {
  return idOf(new TextEncoder().encode(line), recordPaths("id"));
}

Deno.test("ids beyond 2^53 that parse to the same number stay two", () => {
  assert.notEqual(id('{"id":9007199254740993}'), id('{"id":9007199254740992}'));
  assert.equal(id('{"id":9007199254740993,"nested":{"id":9007199254740995}}'), "9007199254740993");
});

Deno.test("the same id is the same however it is written, and a text is no number", () => {
  assert.equal(id('{"id":1.0}'), id('{"id":1}'));
  assert.equal(id('{"id":123456789012345}'), 123456789012345);
  assert.equal(id('{"id":1234567890123456}'), 1234567890123456);
  assert.equal(id(`{"id":1,"\\u0069d":2,"i\\u0064":3,"ids":4,"i":5,"nested":{"id":6}}`), 3);
  assert.equal(id('{"id":"\\u0061"}'), id('{"id":"a"}'));
  assert.notEqual(id('{"id":"1"}'), id('{"id":1}'));
  assert.notEqual(id('{"id":"1.5"}'), id('{"id":1.5}'));
});

Deno.test("records that have no usable id have none", () => {
  for (const line of ["{}", "null", "7", "[1]", '{"id":null}', '{"id":{}}', '{"id":true}']) {
    assert.equal(id(line), undefined, line);
  }
});

Deno.test("the set of ids agrees with a plain one", () => {
  const ids = fc.array(fc.oneof(fc.integer({ min: -100, max: 100 }), fc.maxSafeInteger(), fc.string()));
  fc.assert(fc.property(ids, ids, (added, asked) => {
    const set = new IdSet();
    const plain = new Set(added);
    for (const one of added) set.add(one);
    for (const one of [...added, ...asked]) assert.equal(set.has(one), plain.has(one));
  }));
});
