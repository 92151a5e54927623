/**
 * For the compose test alone, on machines that can't reach a registry: images of the names that the Dockerfile and docker-compose.yml ask for,
 * made in seconds from this machine's programs. Nobody who runs the pipeline needs them, and nothing else in the project knows of them.
 *
 * @module
 */
import { dirname } from "node:path";
import { run } from "./run.ts";

/** An image: its name, what is in it, and how it starts. */
interface StandIn {
  readonly name: string;
  /** Programs of this machine by their paths in the image; the libraries that they load come along. */
  readonly programs: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly [uid: number, gid: number]>>;
  /** Lines of `/etc/passwd` beside root's. */
  readonly users?: readonly string[];
  readonly changes: readonly string[];
}

const CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

/** What atmoz/sftp does at its start, as far as docker-compose.yml relies on it. */
const SFTP_ENTRYPOINT = `#!/bin/sh
set -eu
IFS=: read -r user _password uid gid <<END
$1
END
if ! grep -q "^$user:" /etc/passwd; then
  echo "group_$gid:x:$gid:" >> /etc/group
  echo "$user:*:$uid:$gid::/home/$user:/bin/sh" >> /etc/passwd
fi
mkdir -p "/home/$user"
chown root:root "/home/$user"
chmod 755 "/home/$user"
[ -f /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -f /etc/ssh/ssh_host_ed25519_key -N ''
for script in /etc/sftp.d/*; do
  if [ -x "$script" ]; then "$script"; else echo "Could not run $script" >&2; fi
done
exec /usr/sbin/sshd -D -e
`;

/** The images, where `deno` is the path of this program. */
function standIns(deno: string): StandIn[] {
  return [
    {
      name: "denoland/deno:debian-2.9.6",
      programs: { "/usr/bin/deno": deno, "/tini": "tini" },
      files: { [CA_BUNDLE]: Deno.readTextFileSync(CA_BUNDLE) },
      folders: { "/deno-dir": [1993, 1993] },
      users: ["deno:x:1993:1993::/home/deno:/bin/sh"],
      changes: [
        "ENV DENO_DIR=/deno-dir/",
        // For a registry behind a proxy whose certificate only this machine knows.
        `ENV DENO_TLS_CA_STORE=system,mozilla SSL_CERT_FILE=${CA_BUNDLE}`,
        'ENTRYPOINT ["/tini", "--"]',
      ],
    },
    {
      name: "redis:7-alpine",
      programs: { "/usr/local/bin/redis-server": "redis-server", "/usr/local/bin/redis-cli": "redis-cli" },
      folders: { "/data": [999, 1000] },
      users: ["redis:x:999:1000::/data:/bin/sh"],
      changes: ["WORKDIR /data", "VOLUME /data", 'CMD ["redis-server"]'],
    },
    {
      name: "atmoz/sftp:alpine",
      programs: { "/usr/sbin/sshd": "/usr/sbin/sshd", "/usr/bin/ssh-keygen": "ssh-keygen" },
      files: { "/entrypoint": SFTP_ENTRYPOINT },
      folders: { "/etc/ssh": [0, 0], "/run/sshd": [0, 0], "/home": [0, 0] },
      users: ["sshd:x:74:74::/run/sshd:/bin/false"],
      changes: ['ENTRYPOINT ["/entrypoint"]', "EXPOSE 22"],
    },
  ];
}

/** The names of the images that can be stood in for. */
export const IMAGES: readonly string[] = [
  "denoland/deno:debian-2.9.6",
  "redis:7-alpine",
  "atmoz/sftp:alpine",
];

/** Makes a stand-in for each image of `names`. Wants to be root, as files in them belong to others. */
export async function makeStandIns(names: readonly string[]): Promise<void> {
  for (const standIn of standIns(Deno.execPath())) {
    if (names.includes(standIn.name)) await make(standIn);
  }
}

async function make(
  { name, programs, files = {}, folders = {}, users = [], changes }: StandIn,
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "stand-in-" });
  try {
    await Deno.chmod(root, 0o755);
    await base(root, users);
    for (const [path, [uid, gid]] of Object.entries(folders)) {
      await Deno.mkdir(`${root}${path}`, { recursive: true });
      await Deno.chown(`${root}${path}`, uid, gid);
    }
    for (const [path, text] of Object.entries(files)) await write(`${root}${path}`, text);
    for (const [path, program] of Object.entries(programs)) {
      const source = await Deno.realPath(program.startsWith("/") ? program : await run("which", program));
      await copy(source, `${root}${path}`);
      for (const library of await librariesOf(source)) await copy(library, `${root}${library}`);
    }
    const archive = `${root}.tar`;
    try {
      await run("tar", "-C", root, "-cf", archive, ".");
      await run("docker", "import", ...changes.flatMap((change) => ["--change", change]), archive, name);
    } finally {
      await Deno.remove(archive);
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** What each image has: a shell and the usual commands, names of users and hosts, a place for temporary files. */
async function base(root: string, users: readonly string[]): Promise<void> {
  await copy(await run("which", "busybox"), `${root}/bin/busybox`);
  for (const command of (await run("busybox", "--list")).split("\n")) {
    if (command !== "busybox") await Deno.symlink("/bin/busybox", `${root}/bin/${command}`);
  }
  await write(`${root}/etc/passwd`, ["root:x:0:0:root:/root:/bin/sh", ...users, ""].join("\n"));
  await write(`${root}/etc/group`, "root:x:0:\n");
  await write(`${root}/etc/nsswitch.conf`, "hosts: files dns\n");
  await Deno.mkdir(`${root}/tmp`);
  await Deno.chmod(`${root}/tmp`, 0o1777);
}

async function librariesOf(program: string): Promise<string[]> {
  const listed = await run("ldd", program);
  return [...listed.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.copyFile(from, to);
  await Deno.chmod(to, 0o755);
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text, { mode: 0o755 });
}
