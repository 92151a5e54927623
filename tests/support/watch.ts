/**
 * Waiting for files to appear in a folder.
 *
 * @module
 */

/** A wait for longer fails: what it waits for won't come, in milliseconds. */
const LIMIT_MS = 60_000;

/** A folder that is watched since it was made. Disposing of it ends that. */
export interface WatchedFolder extends Disposable {
  /** Resolves with the name of a file that was made there since, and that `pattern` matches. */
  created(pattern: RegExp): Promise<string>;
  /** The names of all that were made there since and that `pattern` matches, as soon as there are `count`. */
  names(pattern: RegExp, count: number): Promise<string[]>;
  /** Resolves when a file was removed from there, or renamed, that `pattern` matches. */
  removed(pattern: RegExp): Promise<void>;
}

/** Watches `folder`, which has to be there. */
export function watchFolder(folder: string): WatchedFolder {
  const watcher = Deno.watchFs(folder, { recursive: false });
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
  const until = <T>(what: string, find: () => T | undefined) =>
    new Promise<T>((resolve, reject) => {
      const end = (then: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        then();
      };
      const look = () => {
        const found = find();
        if (found !== undefined) end(() => resolve(found));
      };
      const late = () => reject(new Error(`nothing was ${what} in ${folder}; made: ${[...made].join(", ")}`));
      const timer = setTimeout(() => end(late), LIMIT_MS);
      waiting.add(look);
      look();
    });
  const matching = (names: Set<string>, pattern: RegExp) => [...names].filter((name) => pattern.test(name));
  return {
    created: (pattern) => until(`made that matches ${pattern}`, () => matching(made, pattern)[0]),
    names: (pattern, count) =>
      until(`made ${count} times that matches ${pattern}`, () => {
        const names = matching(made, pattern);
        return names.length >= count ? names : undefined;
      }),
    removed: async (pattern) =>
      void await until(`removed that matches ${pattern}`, () => matching(gone, pattern)[0]),
    [Symbol.dispose]: () => watcher.close(),
  };
}
