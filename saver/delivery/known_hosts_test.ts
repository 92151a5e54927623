import assert from "node:assert/strict";
import { NoSpace, PermanentError } from "../../shared/errors/errors.ts";
import { failWritesAt } from "../../tests/support/failing_writes.ts";
import { type HostKey, hostKeyOf, KnownHosts, lineFor, recordHostKey } from "./known_hosts.ts";

function key(text: string): HostKey {
  return { type: "ssh-ed25519", blob: new TextEncoder().encode(text) };
}

const A = key("key A");
const B = key("key B");
const [a, b] = [A, B].map((each) => `${each.type} ${btoa(new TextDecoder().decode(each.blob))}`);

Deno.test("a key is judged only by the lines for its host and port", () => {
  const known = KnownHosts.parse([
    "# a comment",
    "",
    "nonsense",
    `plain.example ${a} a comment`,
    `[other.example]:2222,10.0.0.1\t${a}`,
    `*.farm.example,!black.farm.example ${a}`,
    `several.example ${a}`,
    `several.example ${b}`,
    `@cert-authority * ${b}`,
    `@revoked gone.example ${a}`,
  ].join("\r\n"));
  const verdict = (host: string, port: number, shown: HostKey) => known.judge(host, port, shown).kind;
  assert.equal(verdict("plain.example", 22, A), "known");
  assert.equal(verdict("PLAIN.example", 22, A), "known");
  assert.equal(verdict("plain.example", 22, B), "changed");
  assert.equal(verdict("plain.example", 2222, A), "unknown");
  assert.equal(verdict("plainxexample", 22, A), "unknown");
  assert.equal(verdict("other.example", 2222, A), "known");
  assert.equal(verdict("other.example", 22, A), "unknown");
  assert.equal(verdict("10.0.0.1", 22, B), "changed");
  assert.equal(verdict("white.farm.example", 22, A), "known");
  assert.equal(verdict("black.farm.example", 22, A), "unknown");
  assert.equal(verdict("several.example", 22, B), "known");
  assert.equal(verdict("gone.example", 22, A), "revoked");
  assert.equal(verdict("gone.example", 22, B), "unknown");
});

Deno.test("a written file can be read again", () => {
  const known = KnownHosts.parse(lineFor("Host.example", 2022, A) + lineFor("host.example", 22, B));
  assert.equal(known.judge("host.example", 2022, A).kind, "known");
  assert.equal(known.judge("host.example", 22, B).kind, "known");
});

Deno.test("bytes that aren't a host key are refused", () => {
  for (const bytes of [[], [0, 0, 0, 9, 1], [255, 255, 255, 255, 1]]) {
    assert.throws(() => hostKeyOf(new Uint8Array(bytes)), PermanentError);
  }
});

Deno.test("a host key that doesn't fit on its disk waits for room, like every other write", async () => {
  const folder = await Deno.makeTempDir({ prefix: "known-hosts-" });
  try {
    using disk = failWritesAt(1, "ENOSPC");
    await assert.rejects(
      recordHostKey(`${folder}/known_hosts`, "files.example.org", 22, A),
      (error) => error instanceof NoSpace && /record .*known_hosts: the disk is full/.test(error.message),
    );
    assert.ok(disk.hasFailed);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
