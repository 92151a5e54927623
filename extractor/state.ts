/**
 * What the extractor keeps between its lives, and the lock of each pipeline: in a folder of the local disk.
 *
 * @module
 */
import { type Documents, LocalDocuments } from "../shared/files/documents.ts";
import { lock, type LockOptions } from "./lock.ts";

/** Checkpoints, announcements and the schedule's memory, by name; only who holds a pipeline's lock changes its checkpoint. */
export interface State extends Documents {
  /** Takes the lock called `name`; disposing gives it back, and so does the end of the process. @throws as `lock`. */
  lock(name: string, options: LockOptions): Promise<Disposable>;
}

/** The state in `folder`, `DATA_DIR/state`. */
export class LocalState extends LocalDocuments implements State {
  lock(name: string, options: LockOptions): Promise<Disposable> {
    return lock(this.placeOf(`${name}.lock`), options);
  }
}
