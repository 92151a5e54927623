import { LocalDocuments } from "../shared/files/documents.ts";
import type { LockOptions, State, StateLock } from "../shared/files/state.ts";
import { lock } from "./lock.ts";

/** The state in `folder`, `DATA_DIR/state`. A process holds its lock until it ends, however long it hangs. */
export class LocalState extends LocalDocuments implements State {
  async lock(name: string, options: LockOptions): Promise<StateLock> {
    const held = await lock(this.placeOf(`${name}.lock`), options);
    return { documents: this, [Symbol.dispose]: () => held[Symbol.dispose]() };
  }
}
