/** `deno task etl notify`: lists notifications; `--test` sends one to all receivers, and waits for their answers. */
import { type NotificationLine, NOTIFICATIONS } from "../../api/client/operations.ts";
import { pause } from "../../shared/actor/backoff.ts";
import { EXIT } from "../command_line.ts";
import { type Command, Failed, firstOf, listed, steer } from "./command.ts";

/** How long a test waits for the first answer of every receiver, in milliseconds. */
const ANSWERED_WITHIN_MS = 30_000;

export const notify: Command = async ({ api, signal, options: { json, limit, test } }) => {
  const read = async (webhookId?: string) =>
    (await api.ask(NOTIFICATIONS, { ...firstOf(limit), webhookId })).notifications.nodes;
  const show = (nodes: readonly NotificationLine[]) =>
    listed(json, nodes, {
      when: "happenedAt",
      type: "type",
      pipeline: "pipeline",
      to: "host",
      state: "state",
      tries: "attempts",
      result: "result",
    });
  if (!test) return show(await read());
  const { webhookId } = await steer(api, "sendTestNotification");
  const until = performance.now() + ANSWERED_WITHIN_MS;
  for (;;) {
    const nodes = await read(webhookId);
    const isAnswered = nodes.length > 0 && nodes.every(({ attempts }) => attempts > 0);
    if (isAnswered || performance.now() > until || signal.aborted) {
      show(nodes);
      if (nodes.length === 0) {
        throw new Failed(
          "The test was ordered, but no saver has taken it. Look at it with: deno task doctor",
        );
      }
      return nodes.every(({ state }) => state === "SENT") ? EXIT.ok : EXIT.failed;
    }
    await pause(200, signal);
  }
};
