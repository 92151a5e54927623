import assert from "node:assert/strict";
import { linksIn } from "./link_header.ts";

Deno.test("links are parsed as RFC 8288 says", () => {
  const cases: [header: string, links: [target: string, ...rels: string[]][]][] = [
    ["", []],
    ['<https://a/?page=2>; rel="next"', [["https://a/?page=2", "next"]]],
    ["</b>;rel=next", [["/b", "next"]]],
    ["<?page=2,3;x>; rel=Next", [["?page=2,3;x", "next"]]],
    ["<a>; rel='next'", [["a", "next"]]], // invalid by RFC 8288, but servers send it
    ['<a>; rel="prev  NEXT"; title="x, \\"y\\"; rel=last", <b>; rel=last', [["a", "prev", "next"], [
      "b",
      "last",
    ]]],
    ["<a> ; title*=UTF-8''x ; crossorigin ; REL = \"next\" , , <b>", [["a", "next"], ["b"]]],
    ["<a>; rel=first; rel=next", [["a", "first"]]], // the first one counts
    ['<a>; rel=next; anchor="#part", <b>; rel=next', [["b", "next"]]], // the first link belongs to another resource
    ['<>; rel="next"', [["", "next"]]],
  ];
  for (const [header, links] of cases) {
    assert.deepEqual(linksIn(header)?.map(({ target, rels }) => [target, ...rels]), links, header);
  }
});

Deno.test("a header that isn't a list of links counts as missing, not as the end", () => {
  for (const header of ["https://a; rel=next", '<a; rel="next"', '<a>; rel="next', "<a> <b>", "next"]) {
    assert.equal(linksIn(header), undefined, header);
  }
});
