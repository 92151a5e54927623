import { ensureKeys, KEY_TYPES } from "../local/sftp/keys.ts";
import { type CommandLine, EXIT, runCommand, say, UsageError } from "./command_line.ts";

const HELP = `deno task keygen [--dir ssh_keys] [--type rsa|ed25519] [--passphrase [VALUE]]

Makes the key pair that logs in to the SFTP server, where it is missing; it never overwrites one.
  --passphrase   encrypts the private key; without a value it asks, so that the shell's history doesn't have it`;

const OPTIONS = {
  dir: { type: "string", default: "ssh_keys" },
  type: { type: "string", default: "rsa" },
  passphrase: { type: "string" },
} as const;

/** Whether `--passphrase` has no value, and the remaining arguments for the parser. */
function askingFor(args: string[]): { ask: boolean; args: string[] } {
  const at = args.indexOf("--passphrase");
  const next = args[at + 1];
  const ask = at !== -1 && (next === undefined || next.startsWith("--"));
  return { ask, args: ask ? args.toSpliced(at, 1) : args };
}

/** Asks on the terminal without echo; `undefined` without a terminal, or if nothing was typed. */
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

async function main({ values }: CommandLine<typeof OPTIONS>, ask: boolean): Promise<number> {
  const type = KEY_TYPES.find((known) => known === values.type);
  if (type === undefined) {
    throw new UsageError(
      `Cannot make a key: --type is ${JSON.stringify(values.type)}, wanted ${KEY_TYPES.join(" or ")}.`,
    );
  }
  if (values.passphrase === "") {
    throw new UsageError("Cannot make a key: --passphrase is empty. Give one, or leave the option out.");
  }
  const passphrase = ask ? askHidden("Passphrase of the new key: ") : values.passphrase;
  if (ask && passphrase === undefined) {
    throw new UsageError("Cannot make a key: no passphrase was given, and there is no terminal to ask on.");
  }
  const { privateKey, publicKey, made } = await ensureKeys(values.dir, { type, passphrase });
  say(
    made.length === 0
      ? `Kept ${privateKey} and ${publicKey}: they are there already. Remove both for new ones.`
      : `Made ${made.join(" and ")}. The server has to know the public key, the saver needs the private one.`,
  );
  return EXIT.ok;
}

if (import.meta.main) {
  const { ask, args } = askingFor(Deno.args);
  await runCommand({ help: HELP, options: OPTIONS, args }, (line) => main(line, ask));
}
