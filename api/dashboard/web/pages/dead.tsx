import type { JSX } from "preact";
import { ACTOR_CHANGES, DEAD_LETTERS, type DeadLetter } from "../../../client/operations.ts";
import { bytes, number, t, time } from "../i18n.ts";
import { steer, useFollowing, useReading, useSoon } from "../state.ts";
import { Empty, Fact, Page, Read, useGrowing } from "../ui.tsx";

const PAGE = 50;

export function DeadPage(): JSX.Element {
  const { first, more } = useGrowing(PAGE);
  const reading = useReading(DEAD_LETTERS, { first });
  const refreshSoon = useSoon(reading.refresh);
  useFollowing(ACTOR_CHANGES, { onData: refreshSoon, onUp: refreshSoon });
  return (
    <Page title={t("dead")}>
      <p class="quiet">{t("deadText")}</p>
      <Read reading={reading}>
        {({ deadLetters: { nodes, pageInfo } }) =>
          nodes.length === 0 ? <Empty title={t("noDead")} /> : (
            <>
              <ul class="records">
                {nodes.map((letter) => (
                  <li key={letter.id}>
                    <Letter letter={letter} refresh={reading.refresh} />
                  </li>
                ))}
              </ul>
              {more(pageInfo)}
            </>
          )}
      </Read>
    </Page>
  );
}

function Letter({ letter, refresh }: { letter: DeadLetter; refresh: () => void }): JSX.Element {
  const { id } = letter;
  const replay = async () => {
    await steer("replayDeadLetter", { id }, t("sentAgain"));
    refresh();
  };
  const discard = async () => {
    const question = {
      title: t("discardQuestion"),
      text: t("discardText"),
      action: "discardLetter" as const,
    };
    await steer("discardDeadLetter", { id }, t("discarded"), { ...question, grave: true });
    refresh();
  };
  const size = new TextEncoder().encode(letter.body).length;
  return (
    <article class="panel" aria-label={`${letter.channel} ${time(letter.buriedAt)}`}>
      <div class="panel-head">
        <h2 class="code">{letter.channel}</h2>
        <div class="buttons">
          <button type="button" onClick={replay}>{t("again")}</button>
          <button type="button" class="grave" onClick={discard}>{t("discardLetter")}</button>
        </div>
      </div>
      <p>{letter.reason}</p>
      <dl class="facts wide">
        <Fact name={t("buried")}>{time(letter.buriedAt)}</Fact>
        <Fact name={t("attempts")}>{number(letter.attempts)}</Fact>
        <Fact name={t("size")}>{bytes(size)}</Fact>
      </dl>
      <details>
        <summary>{t("message")}</summary>
        <pre tabIndex={0}>{pretty(letter.body)}</pre>
      </details>
    </article>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
