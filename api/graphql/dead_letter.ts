import * as z from "zod";
import type { DeadLetter } from "../../shared/channel/channel.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import { type Mask, MASKED, maskOf, maskRecord } from "../../shared/store/mask.ts";
import type { ApiPorts } from "../ports.ts";
import { badInput, bounded, builder } from "./builder.ts";
import { connectionType, decodeCursor, DEFAULT_PAGE, forwardArgs, MAX_PAGE, pageOf } from "./connection.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** The public id of a dead letter: its channel and its id there. */
function letterId({ mailbox, id }: { mailbox: string; id: string }): string {
  return `${mailbox}/${id}`;
}

/** Undefined if no channel has that name. */
export function letterOf(letter: string): { mailbox: string; id: string } | undefined {
  const slash = letter.indexOf("/");
  const mailbox = letter.slice(0, slash);
  return slash > 0 && Object.hasOwn(CHANNELS, mailbox) ? { mailbox, id: letter.slice(slash + 1) } : undefined;
}

/**
 * A message's text without personal data: a correction contains parts of records, and a foreign message may contain
 * anything. Text that isn't JSON is hidden completely.
 */
function maskMessage(body: string, mask: Mask): string {
  if (mask.size === 0) return body;
  try {
    return JSON.stringify(hide(JSON.parse(body), mask));
  } catch {
    return MASKED;
  }
}

function hide(value: unknown, mask: Mask): unknown {
  if (Array.isArray(value)) return value.map((item) => hide(item, mask));
  if (typeof value !== "object" || value === null) return value;
  const masked = maskRecord(value, mask) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(masked).map(([key, inner]) => [key, FREE_TEXT.has(key) ? MASKED : hide(inner, mask)]),
  );
}

/** The masks of all pipelines: a message doesn't always name its pipeline. */
async function maskOfAll(store: ReadStore | undefined, { pipelines }: ApiPorts): Promise<Mask> {
  const shown = [...(await store?.records.pipelines())?.values() ?? []].flatMap(({ masked }) => masked);
  const defined = [...pipelines.plans.values()].flatMap(({ definition }) => definition.mask ?? []);
  return maskOf(store === undefined ? defined : shown);
}

/** Keys of text that may contain a complete record. */
const FREE_TEXT = new Set(["text", "raw_line"]);

const DeadLetterType = builder.objectRef<DeadLetter>("DeadLetter").implement({
  description: "A message that failed permanently.",
  fields: (t) => ({
    id: t.id({ resolve: letterId }),
    channel: t.exposeString("mailbox"),
    messageId: t.exposeID("id"),
    body: t.string({
      description: "Its text; personal fields, and what can't be read, are hidden.",
      resolve: async ({ body }, _args, { store, ports }) => maskMessage(body, await maskOfAll(store, ports)),
    }),
    reason: t.exposeString("reason"),
    attempts: t.exposeInt("attempts", { description: "Number of attempts." }),
    buriedAt: t.field({ type: "DateTime", resolve: (letter) => new Date(letter.buriedAt).toISOString() }),
  }),
});

const DeadLetterConnection = connectionType("DeadLetter", DeadLetterType);

/** The cursor of a list over all channels: the last letter read of each. */
const Place = z.record(z.string(), z.string());
type Place = z.output<typeof Place>;

builder.queryField("deadLetters", (t) =>
  t.field({
    type: DeadLetterConnection,
    description: "Messages that failed permanently, newest first: of one channel, or of all.",
    args: {
      channel: t.arg.string({ required: false }),
      ...forwardArgs,
    },
    resolve: async (_root, { channel, first, after }, { ports }) => {
      if (channel != null && !Object.hasOwn(CHANNELS, channel)) {
        throw badInput(
          `Cannot read dead letters of ${JSON.stringify(channel)}, wanted one of ${
            Object.keys(CHANNELS).join(", ")
          }.`,
        );
      }
      const channels = channel == null ? Object.keys(CHANNELS) : [channel];
      const read = after == null ? {} : decodeCursor("after", after, Place);
      const places = new Map<DeadLetter, Place>();
      const letters = await newestLetters(channels, read, (name, place) =>
        ports.channel.mailbox(name).dead({
          limit: bounded("first", first ?? DEFAULT_PAGE, 0, MAX_PAGE) + 1,
          ...(place === undefined ? {} : { after: place }),
        }));
      letters.reduce((place, letter) => {
        const next = { ...place, [letter.mailbox]: letter.id };
        places.set(letter, next);
        return next;
      }, read);
      const page = await pageOf<DeadLetter, Place>({ first }, {
        read: ({ limit }) => Promise.resolve(letters.slice(0, limit)),
        place: (letter) => places.get(letter)!,
        cursor: Place,
      });
      return { ...page, pageInfo: { ...page.pageInfo, hasPreviousPage: after != null } };
    },
  }));

async function newestLetters(
  channels: readonly string[],
  read: Place,
  dead: (channel: string, after: string | undefined) => Promise<DeadLetter[]>,
): Promise<DeadLetter[]> {
  const each = await Promise.all(channels.map((name) => dead(name, read[name])));
  return each.flat().sort((a, b) => b.buriedAt - a.buriedAt);
}
