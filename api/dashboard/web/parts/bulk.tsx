import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isLine, MOST_AT_ONCE, uncorrected, withField } from "../../../client/repair.ts";
import { shelfOf } from "../drafts.ts";
import { t } from "../i18n.ts";
import { api, notice, tell } from "../state.ts";
import { Panel } from "../ui.tsx";
import { entryOf } from "../rules.ts";
import { type Rules, Value } from "./record_form.tsx";

/** The form; it creates drafts, so that each record shows a preview. */
export function Bulk({ runId, reason, rules }: {
  runId: string;
  reason: string;
  rules: Rules;
}): JSX.Element {
  const [field, setField] = useState(
    rules.fields.find((rule) => reason.startsWith(`${rule.field}:`))?.field ?? rules.fields[0]!.field,
  );
  const [value, setValue] = useState<unknown>("");
  const rule = rules.fields.find((rule) => rule.field === field)!;
  const set = async (event: Event) => {
    event.preventDefault();
    try {
      const shelf = shelfOf(runId);
      const records = await uncorrected(api, runId, reason, ({ data }) => !isLine(data));
      shelf.put(Object.fromEntries(
        records.map(({ id, data }) => [id, withField(data, shelf.all.value[id], field, value)]),
      ));
      notice.value = { bad: false, text: t("applied", { n: records.length }) };
    } catch (error) {
      tell(error);
    }
  };
  return (
    <Panel title={t("bulk")}>
      <p class="quiet">{t("bulkText", { n: MOST_AT_ONCE })}</p>
      <form class="row" onSubmit={set}>
        <label class="field">
          <span>{t("field")}</span>
          <select
            value={field}
            onChange={({ currentTarget }) => {
              setField(currentTarget.value as typeof field);
              setValue("");
            }}
          >
            {rules.fields.map((rule) => <option key={rule.field}>{rule.field}</option>)}
          </select>
        </label>
        <label class="field">
          <span>{t("value")}</span>
          <Value required entry={entryOf(rule, rules.schema)} value={value} onValue={setValue} />
        </label>
        <button type="submit">{t("apply")}</button>
      </form>
    </Panel>
  );
}
