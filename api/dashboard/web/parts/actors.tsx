import type { JSX } from "preact";
import type { Actor } from "../../../client/operations.ts";
import { elapsed, number, t } from "../i18n.ts";
import { now, steer } from "../state.ts";
import { Badge, Fact } from "../ui.tsx";

/** An instance without a beat for this long is dead, or can't reach the channel: four beats. */
const SILENT_MS = 20_000;

export function ActorCards({ actors, refresh }: {
  actors: readonly Actor[];
  refresh: () => void;
}): JSX.Element {
  return (
    <ul class="cards">
      {actors.map((actor) => (
        <li key={actor.name}>
          <ActorCard actor={actor} refresh={refresh} />
        </li>
      ))}
    </ul>
  );
}

function ActorCard({ actor, refresh }: { actor: Actor; refresh: () => void }): JSX.Element {
  const { name, mailbox } = actor;
  const seenAt = Math.max(...actor.instances.map((one) => Date.parse(one.lastSeenAt)));
  return (
    <article class="card" aria-label={name}>
      <div class="panel-head">
        <h3>{name}</h3>
        <Badge of="state" state={stateOf(actor, seenAt)} />
      </div>
      <dl class="facts">
        <Fact name={t("waiting")}>{number(mailbox.depth)}</Fact>
        <Fact name={t("heartbeat")}>{Number.isFinite(seenAt) ? elapsed(now.value - seenAt) : "–"}</Fact>
        <Fact name={t("handled")}>{number(actor.handled)}</Fact>
        <Fact name={t("deadLetters")}>
          {mailbox.deadLetters === 0 ? "0" : <a href="/dead" class="error">{number(mailbox.deadLetters)}</a>}
        </Fact>
      </dl>
      <Steer name={name} paused={mailbox.paused} refresh={refresh} />
    </article>
  );
}

function Steer({ name, paused, refresh }: {
  name: string;
  paused: boolean;
  refresh: () => void;
}): JSX.Element {
  const pause = async () => {
    const question = { title: t("pauseQuestion", { name }), text: t("pauseText"), action: "pause" as const };
    await steer("pauseActor", { name }, t("paused", { name }), question);
    refresh();
  };
  const resume = async () => {
    await steer("resumeActor", { name }, t("resumed", { name }));
    refresh();
  };
  return paused
    ? <button type="button" aria-label={t("resumeNamed", { name })} onClick={resume}>{t("resume")}</button>
    : <button type="button" aria-label={t("pauseNamed", { name })} onClick={pause}>{t("pause")}</button>;
}

function stateOf({ instances, mailbox }: Actor, seenAt: number): string {
  if (instances.length === 0) return "absent";
  if (instances.every(({ state }) => state === "stopped")) return "stopped";
  if (now.value - seenAt > SILENT_MS) return "silent";
  if (instances.some(({ state }) => state === "working")) return "working";
  if (mailbox.paused) return "paused";
  return instances.find(({ state }) => state !== "stopped")!.state;
}
