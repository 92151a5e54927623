import * as z from "zod";
import { type FileKind, partsOfTable, type RecordTable } from "../../shared/contracts/names.ts";
import { badInput, builder } from "./builder.ts";
import type { Context } from "./context.ts";
import { type Connection, connectionType, forwardArgs, type PageArgs, pageOf } from "./connection.ts";
import { pipelineOf } from "./pipeline.ts";
import { runById } from "./run.ts";
import type { RecordFilter, RecordRow } from "../../shared/store/rows.ts";

const RecordTableEnum = builder.enumType("RecordTable", {
  description: "A table of records.",
  values: {
    RAW_USERS: { value: "raw_users" as RecordTable, description: "As they came from the source." },
    PROCESSED_USERS: {
      value: "processed_users" as RecordTable,
      description: "Valid, with `department_code`.",
    },
    INVALID_USERS: { value: "invalid_users" as RecordTable, description: "Invalid, with `error_reason`." },
  } as const,
});

const RecordStage = builder.enumType("RecordStage", {
  description: "Which records of a pipeline.",
  values: {
    RAW: { value: "raw" as FileKind, description: "As they came from the source." },
    PROCESSED: { value: "processed" as FileKind, description: "Valid, with what the pipeline adds." },
    INVALID: { value: "invalid" as FileKind, description: "Invalid, with `error_reason`." },
  } as const,
});

export const RecordType = builder.objectRef<RecordRow & { kind?: FileKind }>("Record");

export const InvalidRecord = builder.objectRef<RecordRow>("InvalidRecord").implement({
  description: "A record that broke a rule. Personal fields read as `***`.",
  fields: (t) => ({
    id: t.exposeID("record_id"),
    runId: t.exposeID("run_id"),
    line: t.exposeInt("line", { description: "Its line in the dead-letter file, from 1." }),
    insertionDate: t.expose("insertion_date", { type: "DateTime" }),
    errorReason: t.string({
      nullable: true,
      description: "Every problem of the record.",
      resolve: ({ record }) => {
        const reason = (record as { error_reason?: unknown } | null)?.error_reason;
        return typeof reason === "string" ? reason : null;
      },
    }),
    data: t.expose("record", { type: "JSON", description: "The record." }),
    run: t.field(runById(({ run_id }) => run_id)),
    corrections: t.field({
      type: [RecordType],
      description: "Raw records of correction runs that correct it, oldest first.",
      resolve: async (row, _args, { loaders }) => {
        const found = await loaders.rawRecord.loadMany(await loaders.recordCorrections.load(row.record_id));
        return found.flatMap((record) =>
          record instanceof Error || record === undefined ? [] : [ofKind("raw", record)]
        );
      },
    }),
  }),
});

RecordType.implement({
  description: "A record. Personal fields read as `***`.",
  fields: (t) => ({
    id: t.exposeID("record_id"),
    runId: t.exposeID("run_id"),
    line: t.exposeInt("line", { description: "Its line in the file, from 1." }),
    insertionDate: t.expose("insertion_date", { type: "DateTime" }),
    data: t.expose("record", {
      type: "JSON",
      nullable: true,
      description: "The record. Null where the source's list holds `null` in its place.",
    }),
    run: t.field(runById(({ run_id }) => run_id)),
    corrects: t.field({
      type: InvalidRecord,
      nullable: true,
      description: "In a correction run's raw records: the invalid record that it corrects.",
      resolve: async ({ kind, record_id }, _args, { loaders }) => {
        const id = kind === "raw" ? await loaders.recordCorrected.load(record_id) : undefined;
        return id === undefined ? null : await loaders.invalidRecord.load(id);
      },
    }),
  }),
});

const RecordConnection = connectionType("Record", RecordType, { counted: true });
const InvalidRecordConnection = connectionType("InvalidRecord", InvalidRecord);

builder.queryFields((t) => ({
  records: t.field({
    type: RecordConnection,
    description: "Records in the order in which they were loaded; of one run, in the file's order.",
    args: {
      table: t.arg({ type: RecordTableEnum, description: "A table of `users`; others go by `stage`." }),
      stage: t.arg({ type: RecordStage, description: "Which records." }),
      pipeline: t.arg.string({
        description: "Whose records. Default: that of `runId`, else `users` or the only one.",
      }),
      runId: t.arg.id({ required: false }),
      ...forwardArgs,
    },
    resolve: async (_root, { table, stage, pipeline, runId, ...page }, context) => {
      if ((table == null) === (stage == null)) {
        throw badInput("Cannot read records: wanted either stage or table.");
      }
      const wanted = table ?? `${stage!}_${await pipelineOf(pipeline, runId, context)}` as const;
      return readRecords(wanted, { runId: runId ?? undefined }, page, context);
    },
  }),
  invalidRecords: t.field({
    type: InvalidRecordConnection,
    description: "Invalid records in the order in which they were loaded.",
    args: {
      runId: t.arg.id({ required: false }),
      pipeline: t.arg.string({
        description: "Whose records. Default: that of `runId`, else `users` or the only one.",
      }),
      reason: t.arg.string({
        description:
          "Only those with this problem: `age: greater than 65`, as in `EtlRun.reasons`, or any text of it.",
      }),
      ...forwardArgs,
    },
    resolve: async (_root, { runId, pipeline, reason, ...page }, context) =>
      await readRecords(
        `invalid_${await pipelineOf(pipeline, runId, context)}`,
        { runId: runId ?? undefined, reason: reason ?? undefined },
        page,
        context,
      ),
  }),
}));

async function readRecords(
  table: RecordTable,
  filter: RecordFilter,
  page: PageArgs,
  { store }: Context,
): Promise<Connection<RecordRow>> {
  const { kind } = partsOfTable(table)!;
  const isThere = await store?.records.has(table) ?? false;
  return pageOf<RecordRow, number>(page, {
    read: async (wanted) =>
      isThere ? (await store!.records.page(table, filter, wanted)).map((row) => ofKind(kind, row)) : [],
    place: (row) => row.record_id,
    cursor: z.int(),
    count: async () => isThere ? await store!.records.count(table, filter.runId) : 0,
  });
}

/** Ids are unique only among files of one kind, so a record must include its kind. */
export function ofKind(kind: FileKind, row: RecordRow): RecordRow & { kind: FileKind } {
  return { ...row, kind };
}
