/**
 * The programs that tests use and that a machine may lack. A test file declares the programs that its tests
 * need:
 *
 * ```ts
 * const test = needing("redis-server");
 * test("a published message is still there after a restart", async () => { ... });
 * ```
 *
 * If such a program is missing, the test is ignored, and `deno task test` (scripts/run_tests.ts) says so at
 * its end.
 *
 * @module
 */

/** Each program and its Debian package. */
export const PACKAGES = {
  "redis-server": "redis-server",
  sshd: "openssh-server",
  sftp: "openssh-client",
  "ssh-keygen": "openssh-client",
  sqlite3: "sqlite3",
  curl: "curl",
  age: "age",
  chromium: "chromium",
  git: "git",
  openssl: "openssl",
  ip: "iproute2",
  postgres: "postgresql",
  "swift-proxy-server": "swift-proxy",
  "swift-account-server": "swift-account",
  "swift-container-server": "swift-container",
  "swift-object-server": "swift-object",
} as const;

/** The parts of OpenStack Swift, which together are an S3 server: see s3.ts. */
export const SWIFT = [
  "swift-proxy-server",
  "swift-account-server",
  "swift-container-server",
  "swift-object-server",
] as const;

export type Program = keyof typeof PACKAGES;

/** The variable with the file to which each ignored test adds a line: its name and the missing programs, as JSON. */
export const ABSENT_FILE = "ETL_TEST_ABSENT";

const declared = new Set<Program>();

/** Returns the path of `program`; undefined if it is missing. */
export function placeOf(program: string): string | undefined {
  if (program === "chromium" && Deno.env.has("CHROMIUM_PATH")) return Deno.env.get("CHROMIUM_PATH");
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", ...postgresFolders()];
  return folders.map((folder) => `${folder}/${program}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Returns the folders of Debian's PostgreSQL servers, newest first. */
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    return Array.from(Deno.readDirSync(root), ({ name }) => name)
      .sort((a, b) => Number(b) - Number(a)).map((version) => `${root}/${version}/bin`);
  } catch {
    return [];
  }
}

/** Returns `Deno.test` for tests that need these programs. */
export function needing(...programs: Program[]): (name: string, fn: Deno.TestDefinition["fn"]) => void {
  programs.forEach((program) => declared.add(program));
  const missing = programs.filter((program) => placeOf(program) === undefined);
  const file = Deno.env.get(ABSENT_FILE);
  return (name, fn) => {
    if (missing.length > 0 && file) {
      Deno.writeTextFileSync(file, `${JSON.stringify({ name, missing })}\n`, { append: true });
    }
    Deno.test({ name, ignore: missing.length > 0, fn });
  };
}

/** Call this before starting `program`. Fails under `deno task test` if the test file didn't declare it. */
export function used(program: Program): void {
  if (declared.has(program) || !Deno.env.get(ABSENT_FILE)) return;
  throw new Error(
    `This test file starts ${program} without saying so. Declare it: const test = needing("${program}").`,
  );
}
