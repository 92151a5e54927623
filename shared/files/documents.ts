/**
 * The Documents port: small texts by name, such as the extractor's checkpoint and the receipts of transforms.
 *
 * @module
 */
import type { z } from "zod";
import { fileError, removeIfThere, writeAtomically } from "./disk.ts";

/** Small texts by name, such as `transformed/processed_users/x.jsonl.json`. All methods throw `TransientError` or `PermanentError`. */
export interface Documents {
  /** The text called `name`; undefined if it doesn't exist. */
  read(name: string): Promise<string | undefined>;
  /** Replaces the text `name` atomically. */
  write(name: string, text: string): Promise<void>;
  /** Removes the text `name`; a missing one is ignored. */
  remove(name: string): Promise<void>;
  /** The names of all texts below `folder`, sorted. */
  list(folder: string): AsyncIterable<string>;
  /** The location of the text `name`, for people. */
  placeOf(name: string): string;
}

/** A text parsed as JSON, if it fits `schema`; otherwise undefined. */
export function parsedAs<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Documents in a folder of the local disk. */
export class LocalDocuments implements Documents {
  /** Accesses no file yet. */
  constructor(private readonly folder: string) {}

  placeOf(name: string): string {
    return `${this.folder}/${name}`;
  }

  async read(name: string): Promise<string | undefined> {
    const path = this.placeOf(name);
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw fileError("read", path, error);
    }
  }

  /** `.part`, fsync, rename, fsync of the folder. */
  async write(name: string, text: string): Promise<void> {
    await writeAtomically(this.placeOf(name), text);
  }

  async remove(name: string): Promise<void> {
    const path = this.placeOf(name);
    try {
      await removeIfThere(path);
    } catch (error) {
      throw fileError("remove", path, error);
    }
  }

  async *list(folder: string): AsyncGenerator<string> {
    for (const { name, isDirectory } of await entriesOf(this.placeOf(folder))) {
      if (isDirectory) yield* this.list(`${folder}/${name}`);
      else if (!name.endsWith(".part")) yield `${folder}/${name}`;
    }
  }
}

async function entriesOf(folder: string): Promise<Deno.DirEntry[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.sort((a, b) => a.name < b.name ? -1 : 1);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw fileError("read", folder, error);
  }
}
