/**
 * The cost of the same work with the machine's own tools. None of them verifies, resumes or counts; those that support
 * it sync to the disk.
 */
import type { Cost } from "./measure.ts";
import { shell } from "./programs.ts";
import { type BenchEnvironment, PROJECT } from "./environment.ts";

export const PAGE = 1_000;

/** `curl` of all pages over one connection, each into a file. */
export async function curlPages(url: string, users: number): Promise<Cost> {
  const last = Math.floor((users - 1) / PAGE) * PAGE;
  const cost = await shell(
    `mkdir -p pages && curl --silent --fail "${url}?limit=${PAGE}&skip=[0-${last}:${PAGE}]" --output "pages/#1.json"`,
  );
  await Deno.remove("pages", { recursive: true });
  return cost;
}

/** `jq` with the same rules and the same field. Its one output holds processed records and dead letters. */
export function jqTransform(rawFile: string): Promise<Cost> {
  const codes =
    `$(tail -n +2 ${PROJECT}/pipelines/departments.csv | jq -Rn '[inputs | split(",") | {(.[0] | ascii_downcase): .[1]}] | add')`;
  return shell(`jq -c --argjson codes "${codes}" '
    def filled: type == "string" and test("\\\\S");
    def problems: [
      (if (.id | type) == "number" and .id == (.id | floor) then empty else "id: not an integer" end),
      (if .firstName | filled then empty else "firstName: empty" end),
      (if (.email | type) == "string" and (.email | test("^[^@\\\\s]+@[^@\\\\s]+\\\\.[a-zA-Z]{2,}$")) then empty else "email: not an email address" end),
      (if (.age | type) == "number" and .age >= 18 and .age <= 65 then empty else "age: not from 18 to 65" end),
      (if .company | type == "object" and (.department | filled) then empty else "company.department: missing" end)
    ];
    problems as $problems
    | if $problems == [] then . + {department_code: ($codes[.company.department | ascii_downcase] // "UNKNOWN")}
      else . + {error_reason: ($problems | join("; "))} end' "${rawFile}" > jq.jsonl
    rm jq.jsonl`);
}

/**
 * `sqlite3`'s `.import` of the files, each into a separate table, with the same write-ahead log and syncs as the saver.
 */
export function sqliteImport(files: readonly string[]): Promise<Cost> {
  const tables = files.map((file, i) => `create table t${i} (json text);\n.import "${file}" t${i}`).join(
    "\n",
  );
  return shell(`sqlite3 import.db <<'END'
.bail on
pragma journal_mode = wal;
pragma synchronous = full;
.mode ascii
.separator "\\037" "\\n"
${tables}
END
rm import.db*`);
}

export async function sftpPut(environment: BenchEnvironment, files: readonly string[]): Promise<Cost> {
  const { server, key, knownHosts } = await environment.sftp();
  const folder = `${server.home}/baseline`;
  await Deno.mkdir(folder, { recursive: true });
  const puts = files.map((file) => `put "${file}" "${folder}/"`).join("\n");
  const options = `-i "${key}" -o UserKnownHostsFile="${knownHosts}" -o IdentitiesOnly=yes -P ${server.port}`;
  const cost = await shell(`sftp -q -b - ${options} ${server.user}@127.0.0.1 <<'END'\n${puts}\nEND`);
  await Deno.remove(folder, { recursive: true });
  return cost;
}
