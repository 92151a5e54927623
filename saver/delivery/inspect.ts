import { Connection, type Login } from "./connection.ts";
import { Remote } from "./remote.ts";
import { type Digest, readBack } from "./transfer.ts";

/** A connection that only reads. Disposing ends it. */
export class Inspection implements AsyncDisposable {
  private constructor(private readonly connection: Connection, private readonly remote: Remote) {}

  /** @throws as `Connection.open`. */
  static async open(login: Login, signal: AbortSignal): Promise<Inspection> {
    const connection = await Connection.open(login, signal);
    try {
      return new Inspection(connection, await Remote.open(connection, signal));
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Hashes the whole file at `path`; undefined if it doesn't exist.
   *
   * @throws TransientError if the connection breaks; PermanentError if reading is forbidden.
   */
  async digest(path: string): Promise<Digest | undefined> {
    const facts = await this.remote.facts(path);
    if (facts === undefined || facts.folder) return undefined;
    await using file = await this.remote.read(path);
    return await readBack(file, facts.size);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.connection[Symbol.asyncDispose]();
  }
}
