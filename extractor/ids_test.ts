import assert from "node:assert/strict";
import fc from "fast-check";
import { IdSet, type RecordId } from "./ids.ts";
import { idOf, recordPaths } from "./records.ts";

function id(line: string) {
  return idOf(new TextEncoder().encode(line), recordPaths("id"));
}

Deno.test("ids beyond 2^53 that parse to the same number stay distinct", () => {
  assert.notEqual(id('{"id":9007199254740993}'), id('{"id":9007199254740992}'));
  assert.equal(id('{"id":9007199254740993,"nested":{"id":9007199254740995}}'), "9007199254740993");
});

Deno.test("an id is the same however it is written, and a text differs from a number", () => {
  assert.equal(id('{"id":1.0}'), id('{"id":1}'));
  assert.equal(id('{"id":123456789012345}'), 123456789012345);
  assert.equal(id('{"id":1234567890123456}'), 1234567890123456);
  assert.equal(id(`{"id":1,"\\u0069d":2,"i\\u0064":3,"ids":4,"i":5,"nested":{"id":6}}`), 3);
  assert.equal(id('{"id":"\\u0061"}'), id('{"id":"a"}'));
  assert.notEqual(id('{"id":"1"}'), id('{"id":1}'));
  assert.notEqual(id('{"id":"1.5"}'), id('{"id":1.5}'));
});

Deno.test("records without a usable id have none", () => {
  for (const line of ["{}", "null", "7", "[1]", '{"id":null}', '{"id":{}}', '{"id":true}']) {
    assert.equal(id(line), undefined, line);
  }
});

Deno.test("the set of ids agrees with a plain Set", () => {
  const id = fc.oneof(fc.integer({ min: -100, max: 100 }), fc.maxSafeInteger(), fc.string(), fc.uuid());
  fc.assert(fc.property(fc.array(id), fc.array(id), (added, more) => {
    const set = new IdSet();
    const plain = new Set<RecordId>();
    for (const one of [...added, ...more, ...added]) {
      assert.equal(set.add(one), !plain.has(one));
      plain.add(one);
    }
  }));
});

Deno.test("ids that are far apart or differ in one character are distinguished in any number", () => {
  const set = new IdSet();
  const count = 50_000;
  const kinds: ((i: number) => RecordId)[] = [
    (i) => i,
    (i) => -1 - i,
    (i) => (i + 1) * 2 ** 37 + 1,
    (i) => `"${i}"`,
    (i) => `"\0${"\0".repeat(i % 20)}${i}"`,
    (i) => `"${String(i).padStart(8, "0")}-0000-4000-8000-000000000000"`,
    (i) => `"10000000-0000-4000-8000-0000${String(i).padStart(8, "0")}"`,
  ];
  for (const kind of kinds) for (let i = 0; i < count; i++) assert.ok(set.add(kind(i)), `${kind(i)} is new`);
  for (const kind of kinds) {
    for (let i = 0; i < count; i++) assert.ok(!set.add(kind(i)), `${kind(i)} is known`);
  }
});
