import type { JSX } from "preact";
import type { Run } from "../../../client/operations.ts";
import { bytes, number, t, time } from "../i18n.ts";
import type { Key } from "../texts.ts";
import { Badge, Table } from "../ui.tsx";

export function Files({ run: { files } }: { run: Run }): JSX.Element {
  if (files.length === 0) return <p class="quiet">{t("noFiles")}</p>;
  return (
    <Table label={t("files")} heads={[t("file"), { number: t("records") }, { number: t("size") }, "SHA-256"]}>
      {files.map((file) => (
        <tr key={file.name}>
          <th scope="row" class="code">{file.name}</th>
          <td class="num">{number(file.records)}</td>
          <td class="num nowrap">{bytes(file.bytes)}</td>
          <td class="code hash">{file.sha256}</td>
        </tr>
      ))}
    </Table>
  );
}

export function Deliveries({ run: { delivery } }: { run: Run }): JSX.Element {
  if (delivery === null) return <p class="quiet">{t("noDelivery")}</p>;
  return (
    <>
      <p>
        <Badge of="delivery" state={delivery.state} /> {delivery.deliveredAt && time(delivery.deliveredAt)}
      </p>
      {delivery.error && <div class="note bad">{delivery.error}</div>}
      {delivery.files.length > 0 && (
        <Table label={t("delivery")} heads={[t("file"), { number: t("size") }, t("verified")]}>
          {delivery.files.map((file) => (
            <tr key={file.remotePath}>
              <th scope="row" class="code">{file.remotePath}</th>
              <td class="num nowrap">{bytes(file.bytes)}</td>
              <td>
                {t(`verified.${file.verified}` as Key)}
                {file.encrypted && `, ${t("encrypted")}`}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}
