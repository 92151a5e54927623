/**
 * Waits for files to appear in a folder.
 *
 * @module
 */

/** The longest wait, in milliseconds. */
const LIMIT_MS = 60_000;

/**
 * The interval between listings of the folder, in milliseconds. Deno keeps 16 events and drops the rest if
 * this process is busy.
 */
const LIST_EVERY_MS = 20;

/** A folder that has been watched since it was created. Disposing of it ends the watch. */
export interface WatchedFolder extends Disposable {
  /** Resolves with the name of a file that has appeared and that `pattern` matches. */
  created(pattern: RegExp): Promise<string>;
  /** Resolves once a file that has appeared and that `pattern` matches is removed or renamed. */
  removed(pattern: RegExp): Promise<void>;
}

/** Watches `folder`, which has to exist. */
export function watchFolder(folder: string): WatchedFolder {
  const watcher = Deno.watchFs(folder, { recursive: false });
  const before = new Set(namesIn(folder));
  const made = new Set<string>();
  const gone = new Set<string>();
  const waiting = new Set<() => void>();
  const follow = async () => {
    for await (const { kind, paths } of watcher) {
      const names = paths.map((path) => path.split("/").at(-1)!);
      if (kind === "create") names.forEach((name) => made.add(name));
      if (kind === "remove" || kind === "rename") names.forEach((name) => gone.add(name));
      for (const look of [...waiting]) look();
    }
  };
  void follow();
  const list = () => {
    const there = new Set(namesIn(folder));
    for (const name of there) if (!before.has(name)) made.add(name);
    for (const name of made) if (!there.has(name)) gone.add(name);
  };
  const until = (what: string, names: Set<string>, pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const end = (then: () => void) => {
        clearTimeout(limit);
        clearInterval(listing);
        waiting.delete(look);
        then();
      };
      const look = () => {
        const found = [...names].find((name) => pattern.test(name));
        if (found !== undefined) end(() => resolve(found));
      };
      const late = () =>
        reject(
          new Error(
            `nothing that matches ${pattern} was ${what} in ${folder}; made: ${[...made].join(", ")}`,
          ),
        );
      const limit = setTimeout(() => end(late), LIMIT_MS);
      const listing = setInterval(() => {
        list();
        look();
      }, LIST_EVERY_MS);
      waiting.add(look);
      look();
    });
  return {
    created: (pattern) => until("made", made, pattern),
    removed: async (pattern) => void await until("removed", gone, pattern),
    [Symbol.dispose]: () => watcher.close(),
  };
}

function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name);
}
