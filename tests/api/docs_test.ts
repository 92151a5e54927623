/**
 * Runs every example of `docs/api.md` against a real server, and compares its answers with those on the page.
 * With `UPDATE_DOCS=1`, writes the answers into the page instead.
 */
import assert from "node:assert/strict";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { keepEvents } from "../../shared/store/sql/run_writes.ts";
import { listen } from "../../api/server.ts";
import { fillRun, openApi, type TestApi } from "../support/api.ts";
import { needing } from "../support/needs.ts";

const test = needing("curl");

const PAGE = new URL("../../docs/api.md", import.meta.url);
const RUN_ID = "01938a4c-7d20-7c3e-9d1b-2f6f0e5a1b11";
const EXAMPLE = /```(sh|graphql|ts)\n((?:(?!```)[\s\S])*)```\n\n```(json|text)\n([\s\S]*?)```/g;

test("each example of docs/api.md gives the answer shown there", async (t) => {
  await using pipeline = await openApi();
  await furnish(pipeline);
  const server = await listen(pipeline.app, { hostname: "127.0.0.1", port: 0 });
  const update = Deno.env.get("UPDATE_DOCS") === "1";
  const page = await Deno.readTextFile(PAGE);
  let written = page;
  let examples = 0;
  try {
    for (const [block, language, code, kind, answer] of page.matchAll(EXAMPLE)) {
      examples++;
      await t.step(`${language}: ${code!.replaceAll(/\s+/g, " ").slice(0, 80)}`, async () => {
        const given = await answerOf(pipeline, server.port, language!, code!);
        const shown = tidied(kind!, given);
        if (update) {
          const filled = block.slice(0, block.lastIndexOf(`\`\`\`${kind}\n`)) +
            `\`\`\`${kind}\n${shown}\`\`\``;
          written = written.replace(block, () => filled);
        } else assert.equal(withoutChance(tidied(kind!, answer!)), withoutChance(shown));
      });
    }
  } finally {
    await server.close(1000);
  }
  assert.ok(examples > 25, `${examples} examples`);
  if (update) await Deno.writeTextFile(PAGE, written);
});

function tidied(kind: string, text: string): string {
  return kind === "json" ? `${JSON.stringify(JSON.parse(text), undefined, 2)}\n` : text;
}

/** Replaces what differs in each run, such as ids and times. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "(time)")
    .replaceAll(/"(endCursor|runId)": "[^"]+"/g, '"$1": "(chance)"');
}

async function answerOf(pipeline: TestApi, port: number, language: string, code: string): Promise<string> {
  const here = code.replaceAll("localhost:8000", `localhost:${port}`);
  if (language === "graphql") {
    const answer = await pipeline.send("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: code }),
    });
    return await answer.text();
  }
  const [command, args] = language === "sh"
    ? ["bash", ["-c", here]] as const
    : [Deno.execPath(), ["eval", "--ext=ts", here]] as const;
  const { code: status, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(status, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Creates a run with two valid records and an invalid one, and a dead letter. */
async function furnish({ store, channel }: TestApi): Promise<void> {
  const user = (id: number, firstName: string, department: string) => ({
    id,
    firstName,
    email: `${firstName.toLowerCase()}@example.com`,
    age: 30 + id,
    password: `secret${id}`,
    company: { department },
  });
  await fillRun(store, {
    runId: RUN_ID,
    valid: [user(1, "Emily", "Engineering"), user(2, "Noah", "Engineering")],
    invalid: [{ ...user(3, "Ava", "Sales"), age: 70, error_reason: "age: 70 is greater than 65" }],
  });
  const event = (n: number, fields: object) =>
    ({
      id: `event/${n}`,
      published_at: `2026-11-24T03:00:0${n}.000Z`,
      run_id: RUN_ID,
      actor: "transformer",
      ...fields,
    }) as RunEvent;
  await store.transaction((sql) =>
    keepEvents(sql, [
      event(1, { type: "phase_started", phase: "TRANSFORMING", attempt: 1 }),
      event(2, {
        type: "phase_completed",
        phase: "TRANSFORMING",
        detail: { records: 3, reasons: [{ reason: "age: greater than 65", count: 1 }], lookup_gaps: [] },
      }),
    ])
  );
  await channel.publish({ to: "channel:deliver", id: "an-order", body: JSON.stringify({ run_id: RUN_ID }) });
  const claim = await channel.claim("channel:deliver", {
    leaseMs: 10_000,
    signal: AbortSignal.timeout(60_000),
  });
  await claim!.bury("Cannot deliver to sftp:22: the key was refused.");
}
