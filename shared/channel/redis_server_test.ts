import assert from "node:assert/strict";
import { unfit } from "./redis_server.ts";

Deno.test("a server older than version 7 is refused, one that hides its version isn't", () => {
  const of = (version: string) => unfit({ version, policy: "noeviction", keeps: "1" });
  for (const version of ["6.2.14", "5.0.3", "2.8"]) {
    assert.equal(of(version), `it has version ${version}, wanted 7 or newer. Upgrade it`);
  }
  for (const version of ["7.0.0", "7.2.4", "8.0", "10.1", "255.255.255", ""]) {
    assert.equal(of(version), undefined, version);
  }
});
