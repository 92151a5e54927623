/**
 * Stand-ins for the images of the Dockerfile and the compose files, for the compose test on machines without
 * access to a registry. They are built in seconds from this machine's programs. Only the compose test uses
 * them.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { placeOf } from "../support/needs.ts";
import { run } from "./run.ts";

/** An image: its name, its content and how it starts. */
interface StandIn {
  readonly name: string;
  /** Programs of this machine by their paths in the image. Their libraries are copied too. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Folders of this machine, copied to the same paths. The libraries of their programs are copied too. */
  readonly trees?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly [uid: number, gid: number]>>;
  /** Additional lines of `/etc/passwd`. */
  readonly users?: readonly string[];
  readonly changes: readonly string[];
}

const CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

/** The entry point of atmoz/sftp, as far as docker-compose.yml relies on it. */
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

/** The entry point of postgres, as far as docker-compose.cluster.yml relies on it. */
const POSTGRES_ENTRYPOINT = `#!/bin/sh
set -eu
export PGDATA=/var/lib/postgresql/data
chown -R postgres "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  su postgres -c '
    set -eu
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 $POSTGRES_INITDB_ARGS
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single -j postgres
  '
fi
# An imported image can't say STOPSIGNAL SIGINT, as the registry's does.
exec su postgres -c 'postgres -c "listen_addresses=*" & trap "kill -INT $!" TERM; wait $!; wait $!'
`;

/** Returns the images; `deno` is the path of this program. */
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
        // For a registry behind a proxy whose certificate only this machine has.
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

/** Returns the images of the cluster's engines. */
function engines(): StandIn[] {
  const postgres = dirname(dirname(Deno.realPathSync(placeOf("postgres")!)));
  const python = Deno.realPathSync("/usr/bin/python3");
  return [
    {
      name: "postgres:17-alpine",
      trees: [postgres, postgres.replace("/lib/", "/share/"), "/usr/share/zoneinfo", "/usr/lib/locale"],
      files: { "/entrypoint": POSTGRES_ENTRYPOINT },
      folders: { "/var/lib/postgresql/data": [70, 70], "/var/run/postgresql": [70, 70] },
      users: ["postgres:x:70:70::/var/lib/postgresql:/bin/sh"],
      changes: [
        `ENV PATH=${postgres}/bin:/usr/bin:/bin`,
        "VOLUME /var/lib/postgresql/data",
        'ENTRYPOINT ["/entrypoint"]',
      ],
    },
    {
      name: "minio/minio:RELEASE.2025-09-07T16-13-09Z",
      programs: { "/usr/bin/python3": python },
      trees: [
        "/usr/lib/python3",
        `/usr/lib/${basename(python)}`,
        `/usr/lib/${Deno.build.arch}-linux-gnu/ossl-modules`,
      ],
      files: {
        "/s3_server.py": textOf("../support/s3_server.py"),
        "/usr/bin/minio": textOf("store_stand_in.py"),
        "/usr/bin/curl": textOf("store_stand_in.py"),
      },
      folders: { "/data": [0, 0] },
      changes: ["ENV PYTHONDONTWRITEBYTECODE=1", "VOLUME /data"],
    },
  ];
}

/** The names of the images that have a stand-in. */
export const IMAGES: readonly string[] = [
  "denoland/deno:debian-2.9.6",
  "redis:7-alpine",
  "atmoz/sftp:alpine",
];

/** Additional images of docker-compose.cluster.yml. The second contains Swift, despite its name. */
export const CLUSTER_IMAGES: readonly string[] = [
  "postgres:17-alpine",
  "minio/minio:RELEASE.2025-09-07T16-13-09Z",
];

/** Builds a stand-in for each image of `names`. Requires root, as some files in them belong to other users. */
export async function makeStandIns(names: readonly string[]): Promise<void> {
  const cluster = CLUSTER_IMAGES.some((name) => names.includes(name));
  for (const standIn of [...standIns(Deno.execPath()), ...cluster ? engines() : []]) {
    if (names.includes(standIn.name)) await make(standIn);
  }
}

async function make(
  { name, programs = {}, trees = [], files = {}, folders = {}, users = [], changes }: StandIn,
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
    for (const tree of trees) await copyTree(tree, root);
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

/**
 * Creates the common content of an image: a shell, basic commands, names of users and hosts, a folder for
 * temporary files.
 */
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

/** Copies a folder to its path under `root`, with the libraries of its programs. */
async function copyTree(tree: string, root: string): Promise<void> {
  // Without PostgreSQL's JIT compiler, which is larger than everything else.
  const without = ["bitcode", "llvmjit*"].map((name) => `--exclude=${name}`);
  await run(
    "sh",
    "-c",
    'tree=$1 root=$2; shift 2; tar -ch --ignore-failed-read "$@" "$tree" 2>/dev/null | tar -x -C "$root"',
    "sh",
    tree,
    root,
    ...without,
  );
  const loaded = await run(
    "sh",
    "-c",
    `find "$1" -type f ! -name 'llvmjit*' '(' -path '*/bin/*' -o -name '*.so*' ')' -exec ldd {} + 2>/dev/null || :`,
    "sh",
    tree,
  );
  const libraries = new Set([...loaded.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!));
  for (const library of libraries) await copy(library, `${root}${library}`);
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.copyFile(from, to);
  await Deno.chmod(to, 0o755);
}

function textOf(name: string): string {
  return Deno.readTextFileSync(new URL(name, import.meta.url));
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text, { mode: 0o755 });
}
