import assert from "node:assert/strict";
import { FLAWS } from "./source/flaws.ts";
import { DEPARTMENTS, Users } from "./source/users.ts";
import { startSource } from "./source.ts";

/** The keys of a DummyJSON user, in order. */
const KEYS = [
  ..."id firstName lastName maidenName age gender email phone username password birthDate image bloodGroup"
    .split(" "),
  ..."height weight eyeColor hair ip address macAddress university bank company ein ssn userAgent crypto role"
    .split(" "),
];

async function ask(url: string) {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
}

Deno.test("the sample source answers as DummyJSON does", async () => {
  await using source = await startSource();
  const first = await ask(source.url);
  assert.deepEqual([first.status, first.body.total, first.body.skip, first.body.limit], [200, 208, 0, 30]);
  assert.deepEqual(
    first.body.users.map((user: { id: number }) => user.id),
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  const last = await ask(`${source.url}?limit=100&skip=200`);
  assert.deepEqual([last.body.users.length, last.body.total, last.body.skip, last.body.limit], [
    8,
    208,
    200,
    8,
  ]);
  const all = await ask(`${source.url}?limit=0`);
  assert.equal(all.body.users.length, 208);
  const beyond = await ask(`${source.url}?limit=10&skip=500`);
  assert.deepEqual(beyond.body, { users: [], total: 208, skip: 500, limit: 0 });
  assert.equal((await ask(`${source.url}?limit=many`)).status, 400);
  assert.equal((await ask(source.url.replace("/users", "/other"))).status, 404);
});

Deno.test("every user has DummyJSON's keys in its order, and is valid", () => {
  const users = new Users(0, 1);
  const departments = new Set<string>();
  for (let index = 0; index < 208; index++) {
    const text = users.json(index);
    const user = JSON.parse(text);
    assert.deepEqual(Object.keys(user), KEYS);
    assert.equal(user.id, index + 1);
    assert.match(user.email, /^[a-z]+\.[a-z]+\.\d+@x\.dummyjson\.com$/);
    assert.ok(user.age >= 23 && user.age <= 46, `age ${user.age}`);
    assert.ok(text.length > 1_200 && text.length < 1_700, `${text.length} characters`);
    departments.add(user.company.department);
  }
  assert.deepEqual([...departments].sort(), [...DEPARTMENTS].sort());
});

Deno.test("the same index gives the same bytes, independent of earlier requests; another seed gives others", () => {
  const forwards = new Users(0.1, 7);
  const backwards = new Users(0.1, 7);
  const ahead = Array.from({ length: 50 }, (_, i) => forwards.json(i * 97));
  const back = Array.from({ length: 50 }, (_, i) => backwards.json((49 - i) * 97)).reverse();
  assert.deepEqual(ahead, back);
  assert.notEqual(new Users(0, 8).json(0), new Users(0, 7).json(0));
});

Deno.test("beyond the pool of bodies, users still differ in id, e-mail address and user name", () => {
  const users = new Users(0, 1);
  const [one, other] = [JSON.parse(users.json(3)), JSON.parse(users.json(2_003))];
  assert.equal(one.firstName, other.firstName);
  for (const key of ["id", "email", "username", "image"]) assert.notEqual(one[key], other[key], key);
});

Deno.test("the share of invalid users is exact, and every kind of error occurs", () => {
  const users = new Users(0.1, 1);
  const flaws = Array.from({ length: 1_000 }, (_, index) => users.flawAt(index)).filter((flaw) =>
    flaw !== undefined
  );
  assert.equal(flaws.length, 100);
  assert.deepEqual(new Set(flaws), new Set(FLAWS));
  const old = Array.from({ length: 1_000 }, (_, index) => index).find((index) =>
    users.flawAt(index) === "too old"
  )!;
  assert.equal(JSON.parse(users.json(old)).age, 70);
  assert.equal(JSON.parse(new Users(1, 1).json(FLAWS.indexOf("null"))), null);
});

Deno.test("started as a program it reports when it is ready, and ends cleanly", async () => {
  const script = new URL("source.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net=127.0.0.1", script, "--users", "3"],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (!output.endsWith("\n")) continue;
    const url = output.match(/^Sample source: (http:\S+) \(3 users\)\n$/)?.[1];
    assert.ok(url, output);
    assert.equal((await ask(url)).body.total, 3);
    child.kill("SIGTERM");
  }
  assert.equal((await child.status).code, 0);
});
