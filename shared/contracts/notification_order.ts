/**
 * Orders to notify: the body of a notification, and an id that is the same for each order of it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Detail } from "./messages.ts";
import type { Notification, NotificationType, Notify } from "./notifications.ts";

/** An occurrence to report. */
export interface News {
  /** Its type. */
  readonly type: NotificationType;
  /** Identifies the occurrence: the same text each time it is detected, and different for any other one. */
  readonly key: string;
  /** When it happened. */
  readonly at: string;
  /** The pipeline that it is about. */
  readonly pipeline?: string | undefined;
  /** The run that it is about. */
  readonly runId?: string | undefined;
  /** What happened, in one sentence. */
  readonly says: string;
  /** What people can do about it. */
  readonly whatToDo: string;
  /** The page of the dashboard that it is about, such as `/dead`. Default: the run's. */
  readonly page?: string;
  /** Further data for programs. */
  readonly data?: Detail;
}

/** The fields of an order on `channel:notify`. */
export type Order = Pick<Notify, "webhook_id" | "notification" | "run_id" | "pipeline">;

/** The order to send `news` to all receivers; its links point to `publicUrl`, if that is known. */
export function orderOf(news: News, publicUrl: string | undefined): Order {
  const { type, key, at, pipeline, runId, whatToDo, data } = news;
  const page = news.page ?? (runId === undefined ? "/" : `/runs/${runId}`);
  const link = publicUrl && publicUrl.replace(/\/+$/, "") + page;
  const says = oneLine(news.says);
  const notification: Notification = {
    type,
    timestamp: at,
    data: {
      ...(pipeline === undefined ? {} : { pipeline }),
      ...(runId === undefined ? {} : { run_id: runId }),
      ...data,
      says,
      what_to_do: whatToDo,
      ...(link === undefined ? {} : { link }),
    },
    text: [`${pipeline === undefined ? "" : `[${pipeline}] `}${says}`, whatToDo, ...link ? [link] : []]
      .map(forChat).join("\n"),
  };
  return {
    webhook_id: `msg_${createHash("sha256").update(`${type}/${key}`).digest("base64url").slice(0, 32)}`,
    notification,
    run_id: runId,
    pipeline,
  };
}

/** The maximum length of a sentence, in characters. */
const LONGEST = 2_000;

/** Makes text safe for terminals: removes control characters and marks that change the text's direction. */
function oneLine(text: string): string {
  const clean = text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
  return clean.length <= LONGEST ? clean : `${clean.slice(0, LONGEST)}…`;
}

/**
 * In a Slack message `<` begins a link or a mention: https://docs.slack.dev/messaging/formatting-message-text#escaping
 */
function forChat(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
