/**
 * Maps a path of the SFTP client to a file on the disk. Clients see the root folder at one virtual path (`/upload`),
 * and nothing else.
 */
import { posix } from "node:path";

/**
 * The kind of access to a path. `read` and `write` follow a symbolic link that stays inside the root; `entry` and
 * `change` (make, rename, remove) mean the entry itself.
 */
type Intent = "read" | "write" | "entry" | "change";

export class Jail {
  /**
   * Makes a jail of an existing folder.
   *
   * @param root the folder, as a real path (no symbolic links in it)
   * @param mount the absolute path at which clients see it
   */
  constructor(readonly root: string, readonly mount: string) {}

  /** The names in the virtual folder `path` above the mount; `undefined` if it isn't such a folder. */
  namesAbove(path: string): string[] | undefined {
    const above = path === "/" ? "/" : `${path}/`;
    return this.mount.startsWith(above) && path !== this.mount
      ? [this.mount.slice(above.length).split("/")[0]!]
      : undefined;
  }

  /**
   * The real path of the client's absolute, normalized `path`.
   *
   * @throws Deno.errors.NotFound if nothing exists there, or it is outside the mount.
   * @throws Deno.errors.PermissionDenied if it leads out of the root, or would change something outside of it.
   */
  async local(path: string, intent: Intent): Promise<string> {
    const changes = intent === "write" || intent === "change";
    const below = posix.relative(this.mount, path);
    if (below === ".." || below.startsWith("../")) {
      throw changes
        ? denied("outside of the folder that is served")
        : new Deno.errors.NotFound("no such file");
    }
    if (below === "") {
      if (changes) throw denied("the folder itself stays");
      return this.root;
    }
    const folder = this.#inside(await Deno.realPath(posix.join(this.root, posix.dirname(below))));
    const entry = posix.join(folder, posix.basename(below));
    if (intent === "entry" || intent === "change" || !(await isLink(entry))) return entry;
    try {
      return this.#inside(await Deno.realPath(entry));
    } catch (error) {
      // writing through a dangling link would create its target, wherever that is
      throw changes ? denied("a link that leads nowhere") : error;
    }
  }

  #inside(real: string): string {
    if (real === this.root || real.startsWith(`${this.root}/`)) return real;
    throw denied("it leads out of the folder that is served");
  }
}

function denied(why: string): Error {
  return new Deno.errors.PermissionDenied(`permission denied: ${why}`);
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await Deno.lstat(path)).isSymlink;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
