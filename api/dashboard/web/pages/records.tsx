import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AnswerOf } from "../../../client/graphql.ts";
import { CURRENT, CURRENT_FIELDS } from "../../../client/operations.ts";
import { valueAt } from "../../../client/repair.ts";
import { number, t, time } from "../i18n.ts";
import { recordHref } from "../parts/changes.tsx";
import { address, go } from "../router.ts";
import { chosen, useReading } from "../state.ts";
import { Empty, Page, Panel, Read, Table, useGrowing } from "../ui.tsx";
import { shown } from "../values.ts";

const PAGE = 50;
/** Number of fields in the list beside the key. */
const COLUMNS = 4;

const COMPARISONS = ["eq", "lt", "gt", "like"] as const;
type Comparison = (typeof COMPARISONS)[number];

/** The search, as encoded in the address. */
interface Wanted {
  readonly field: string;
  readonly is: Comparison;
  readonly value: string;
}

type State = AnswerOf<typeof CURRENT_FIELDS>["pipelines"][number];

export function RecordsPage(): JSX.Element {
  const reading = useReading(CURRENT_FIELDS);
  return (
    <Page title={t("currentRecords")}>
      <p class="quiet">{t("currentText")}</p>
      <Read reading={reading}>
        {({ pipelines }) => {
          const states = pipelines.filter(({ currentRecords }) => currentRecords !== null);
          const named = address.value.searchParams.get("pipeline") ?? chosen.value;
          const state = states.find(({ name }) => name === named) ??
            states.find(({ currentRecords }) => currentRecords! > 0) ?? states[0];
          return state === undefined
            ? <Empty title={t("noCurrent")} text={t("noCurrentText")} />
            : <Search key={state.name} state={state} names={states.map(({ name }) => name)} />;
        }}
      </Read>
    </Page>
  );
}

function Search({ state, names }: { state: State; names: readonly string[] }): JSX.Element {
  const { searchParams } = address.value;
  const wanted: Wanted = {
    field: searchParams.get("field") ?? state.currentFields[0]?.field ?? "",
    is: COMPARISONS.find((one) => one === searchParams.get("is")) ?? "eq",
    value: searchParams.get("value") ?? "",
  };
  const [field, setField] = useState(wanted.field);
  const [is, setIs] = useState(wanted.is);
  const [value, setValue] = useState(wanted.value);
  const typeOf = (name: string) => state.currentFields.find((one) => one.field === name)?.type;
  const comparisons = COMPARISONS.filter((one) => one !== "like" || typeOf(field) !== "REAL");
  const look = (event: Event) => {
    event.preventDefault();
    go(`/records?${new URLSearchParams({ pipeline: state.name, field, is, value })}`);
  };
  return (
    <>
      <form class="panel row" onSubmit={look}>
        {names.length > 1 && (
          <label class="field">
            <span>{t("pipeline")}</span>
            <select
              value={state.name}
              onChange={({ currentTarget }) =>
                go(`/records?${new URLSearchParams({ pipeline: currentTarget.value })}`)}
            >
              {names.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
        )}
        <label class="field">
          <span>{t("field")}</span>
          <select value={field} onChange={({ currentTarget }) => setField(currentTarget.value)}>
            {state.currentFields.map((one) => <option key={one.field} value={one.field}>{one.field}</option>)}
          </select>
        </label>
        <label class="field">
          <span>{t("comparison")}</span>
          <select value={is} onChange={({ currentTarget }) => setIs(currentTarget.value as Comparison)}>
            {comparisons.map((one) => <option key={one} value={one}>{t(`is.${one}`)}</option>)}
          </select>
        </label>
        <label class="field">
          <span>{t("value")}</span>
          <input type="search" value={value} onInput={({ currentTarget }) => setValue(currentTarget.value)} />
        </label>
        <button type="submit" class="main">{t("search")}</button>
      </form>
      <Found
        key={JSON.stringify(wanted)}
        state={state}
        where={wanted.value === "" ? undefined : { [wanted.field]: condition(wanted, typeOf(wanted.field)) }}
      />
    </>
  );
}

/** Uses a number if the field holds numbers; a key may be a number or a text. */
function condition({ is, value }: Wanted, type: string | undefined): object {
  if (is === "like") return { like: `%${value}%` };
  if (type === "TEXT" || (type === "KEY" && is === "eq")) return { [is]: value };
  return {
    [is]: /^(true|false)$/.test(value) ? value === "true" : Number(value) || (value === "0" ? 0 : value),
  };
}

function Found({ state, where }: { state: State; where: object | undefined }): JSX.Element {
  const { first, more } = useGrowing(PAGE);
  const reading = useReading(CURRENT, { pipeline: state.name, where, first });
  const fields = state.currentFields.filter(({ type }) => type !== "KEY").slice(0, COLUMNS);
  return (
    <Read reading={reading}>
      {({ current: { nodes, pageInfo } }) =>
        nodes.length === 0 ? <Empty title={t("noneFound")} /> : (
          <Panel
            title={state.name}
            aside={<span class="quiet">{t("recordsInAll", { n: number(state.currentRecords) })}</span>}
          >
            <Table
              label={state.name}
              heads={[t("key"), ...fields.map(({ field }) => field), t("changedAt"), t("run")]}
            >
              {nodes.map(({ key, data, changedAt, changedRun }, place) => (
                <tr key={place}>
                  <th scope="row">
                    <a href={recordHref(state.name, key)}>{key}</a>
                  </th>
                  {fields.map(({ field }) => <td key={field}>{shown(valueAt(data, field))}</td>)}
                  <td class="nowrap">{time(changedAt)}</td>
                  <td>{changedRun && <a href={`/runs/${changedRun.runId}`}>{changedRun.id}</a>}</td>
                </tr>
              ))}
            </Table>
            {more(pageInfo)}
          </Panel>
        )}
    </Read>
  );
}
