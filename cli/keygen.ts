/**
 * `deno task keygen [--dir ssh_keys] [--type rsa|ed25519] [--passphrase [VALUE]]`: the key pair that logs in to the SFTP server.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { ensureKeys, KEY_TYPES, type KeyType } from "../local/sftp/keys.ts";

const USAGE = "deno task keygen [--dir ssh_keys] [--type rsa|ed25519] [--passphrase [VALUE]]";

/** What the command line asks for. */
export interface KeygenOptions {
  /** Folder of the two files. */
  readonly dir: string;
  /** Type of the key. */
  readonly type: KeyType;
  /** Encrypts the private key; `ask`: to be asked for on the terminal. */
  readonly passphrase: string | { readonly ask: true } | undefined;
}

/** Reads the command line. @throws Error naming the option, its value and what was wanted. */
export function keygenOptions(args: string[]): KeygenOptions {
  // `--passphrase` with nothing behind it asks for one, so that it doesn't get into the shell's history.
  const at = args.indexOf("--passphrase");
  const next = args[at + 1];
  const ask = at !== -1 && (next === undefined || next.startsWith("--"));
  const { values } = parseArgs({
    args: ask ? args.toSpliced(at, 1) : args,
    options: {
      dir: { type: "string", default: "ssh_keys" },
      type: { type: "string", default: "rsa" },
      passphrase: { type: "string" },
    },
  });
  const type = KEY_TYPES.find((known) => known === values.type);
  if (type === undefined) {
    throw new Error(
      `Cannot make a key: --type is ${JSON.stringify(values.type)}, wanted ${KEY_TYPES.join(" or ")}.`,
    );
  }
  if (values.passphrase === "") {
    throw new Error("Cannot make a key: --passphrase is empty. Give one, or leave the option out.");
  }
  return { dir: values.dir, type, passphrase: ask ? { ask: true } : values.passphrase };
}

/** Asks on the terminal without showing what is typed; `undefined` where there is no terminal, or nothing was typed. */
function askHidden(question: string): string | undefined {
  if (!Deno.stdin.isTerminal()) return undefined;
  Deno.stderr.writeSync(new TextEncoder().encode(question));
  Deno.stdin.setRaw(true, { cbreak: true });
  try {
    const typed: number[] = [];
    const byte = new Uint8Array(1);
    while (Deno.stdin.readSync(byte) === 1) {
      const [code] = byte;
      if (code === 10 || code === 13) break;
      if (code === 8 || code === 127) typed.pop();
      else typed.push(code!);
    }
    return typed.length === 0 ? undefined : new TextDecoder().decode(new Uint8Array(typed));
  } finally {
    Deno.stdin.setRaw(false);
    Deno.stderr.writeSync(new TextEncoder().encode("\n"));
  }
}

async function main(args: string[]): Promise<number> {
  const say = (out: typeof Deno.stdout | typeof Deno.stderr, line: string) =>
    out.write(new TextEncoder().encode(`${line}\n`));
  let options: KeygenOptions;
  try {
    options = keygenOptions(args);
  } catch (error) {
    await say(Deno.stderr, `${error instanceof Error ? error.message : error}\nUsage: ${USAGE}`);
    return 2;
  }
  const passphrase = typeof options.passphrase === "object"
    ? askHidden("Passphrase of the new key: ")
    : options.passphrase;
  if (options.passphrase !== undefined && passphrase === undefined) {
    await say(Deno.stderr, "Cannot make a key: no passphrase was given, and there is no terminal to ask on.");
    return 2;
  }
  try {
    const { privateKey, publicKey, made } = await ensureKeys(options.dir, { type: options.type, passphrase });
    await say(
      Deno.stdout,
      made.length === 0
        ? `Kept ${privateKey} and ${publicKey}: they are there already. Remove both for new ones.`
        : `Made ${
          made.join(" and ")
        }. The server has to know the public key, the saver needs the private one.`,
    );
    return 0;
  } catch (error) {
    await say(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
