import { RECORD, type RecordHistory } from "../../api/client/operations.ts";
import { EXIT, print, say, table, UsageError } from "../command_line.ts";
import { type Command, namedPipeline } from "./command.ts";

const LAST = 100;

export const why: Command = async ({ api, words: [key], options: { json, pipeline } }) => {
  if (key === undefined) throw new UsageError("Which record? Give its key: deno task etl why KEY");
  const { record } = await api.ask(RECORD, {
    key,
    pipeline: await namedPipeline(api, pipeline),
    last: LAST,
  });
  if (record === null) {
    throw new UsageError(
      `No run has held a record with the key ${
        JSON.stringify(key)
      }. Another pipeline's is found with --pipeline NAME.`,
    );
  }
  if (json) print(record);
  else tell(record);
  return EXIT.ok;
};

function tell({ key, pipeline, current, origin, changes, invalid }: RecordHistory): void {
  say(`${pipeline} ${key}`);
  if (current === null) say("The current state doesn't hold it.");
  else say(JSON.stringify(current.data));
  if (origin !== null) tellOrigin(origin);
  if (changes.nodes.length > 0) {
    say("\nChanges");
    table(changes.nodes, {
      when: "at",
      run: ({ run }) => run?.id,
      change: ({ change }) => change.toLowerCase(),
      fields: ({ change, differences }) =>
        change === "CHANGED" ? (differences ?? []).map(({ field }) => field).join(", ") : "",
    });
  }
  if (invalid.length === 0) return;
  say("\nWhen it was invalid");
  table(invalid, {
    when: "insertionDate",
    run: ({ run }) => run?.id,
    line: "line",
    why: "errorReason",
    "corrected in run": ({ corrections }) => corrections.map((one) => one.run?.id ?? one.runId).join(", "),
  });
}

function tellOrigin(
  { run, raw, page, request, rulesSha256, areRulesCurrent, lookupSha256 }: NonNullable<
    RecordHistory["origin"]
  >,
): void {
  const file = run.files.find(({ kind }) => kind === "raw");
  const delivered = run.delivery?.files.filter(({ kind }) => kind === "processed") ?? [];
  const pageText = page === null ? "" : `, page ${page}${request === null ? "" : ` (${request})`}`;
  const rules = areRulesCurrent === null
    ? ""
    : areRulesCurrent
    ? ", those of today"
    : ", different from today's";
  const rows: (string | false)[][] = [
    ["run", `${run.id} (${run.runId}), requested by ${run.requestedBy}`],
    ["source", run.source !== null && `${run.source}${pageText}`],
    ["raw file", file !== undefined && `${file.name}${raw === null ? "" : `, line ${raw.line}`}`],
    ["sha256", file !== undefined && file.sha256],
    ["raw line", raw === null ? "no longer kept" : JSON.stringify(raw.data)],
    [
      "corrects",
      raw?.corrects != null &&
      `line ${raw.corrects.line} of run ${raw.corrects.run?.id}: ${raw.corrects.errorReason}`,
    ],
    ["rules", rulesSha256 !== null && `${rulesSha256}${rules}`],
    ["lookup", lookupSha256 !== null && lookupSha256],
    ...delivered.map(({ remotePath, verified, deliveredAt }) => [
      "delivered",
      `${remotePath} at ${deliveredAt}, verified by ${verified}`,
    ]),
  ];
  say("\nWhere its values came from");
  for (const [name, value] of rows) if (value) say(`  ${String(name).padEnd(10)}${value}`);
}
