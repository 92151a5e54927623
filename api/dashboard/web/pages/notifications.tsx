import type { JSX } from "preact";
import { type NotificationLine, NOTIFICATIONS } from "../../../client/operations.ts";
import { number, t, time } from "../i18n.ts";
import { steer, useEvery, useReading } from "../state.ts";
import { Badge, Empty, Page, Panel, Read, Table, useGrowing } from "../ui.tsx";

const PAGE = 50;

/** How often the list is read, in milliseconds: no event reports a receiver's answer. */
const READ_MS = 3000;

export function NotificationsPage(): JSX.Element {
  const { first, more } = useGrowing(PAGE);
  const reading = useReading(NOTIFICATIONS, { first });
  useEvery(READ_MS, reading.refresh);
  const test = async () => {
    await steer("sendTestNotification", {}, t("testOrdered"));
    reading.refresh();
  };
  const button = <button type="button" class="main" onClick={test}>{t("sendTest")}</button>;
  return (
    <Page title={t("notifications")} aside={button}>
      <p class="quiet">{t("notificationsText")}</p>
      <Read reading={reading}>
        {({ notifications: { nodes, pageInfo } }) =>
          nodes.length === 0
            ? <Empty title={t("noNotifications")} text={t("noNotificationsText")} />
            : (
              <Panel title={t("lastNotifications")}>
                <Table
                  label={t("lastNotifications")}
                  heads={[t("happened"), t("type"), t("message"), t("receiver"), t("outcome"), {
                    number: t("attempts"),
                  }]}
                >
                  {nodes.map((node) => <Line key={node.id} node={node} />)}
                </Table>
                {more(pageInfo)}
              </Panel>
            )}
      </Read>
    </Page>
  );
}

function Line({ node }: { node: NotificationLine }): JSX.Element {
  const { happenedAt, type, text, host, state, result, triedAt, attempts, runId } = node;
  return (
    <tr>
      <td>{runId === null ? time(happenedAt) : <a href={`/runs/${runId}`}>{time(happenedAt)}</a>}</td>
      <td class="code">{type}</td>
      <td class="long">{readable(text)}</td>
      <td class="code">{host}</td>
      <td title={triedAt === null ? undefined : time(triedAt)}>
        <Badge of="notification" state={state} /> {result}
      </td>
      <td class="num">{number(attempts)}</td>
    </tr>
  );
}

/** The text as a chat program shows it. */
function readable(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
