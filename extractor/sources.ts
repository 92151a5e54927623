/** The sources of all pipelines. A definition that can't be used stops only its own pipeline. */
import { getLogger } from "@logtape/logtape";
import { PermanentError } from "../shared/errors/errors.ts";
import { type Pipelines, planFor } from "../shared/pipeline/load.ts";
import type { ReadEnv } from "../shared/pipeline/resolve.ts";
import { type Patience, type Source, sourceOf } from "./source.ts";

export class Sources implements Disposable {
  readonly usable: ReadonlyMap<string, Source>;
  readonly #reasons = new Map<string, string>(); // pipeline -> why it has no source

  /** Opens the source of each pipeline, with the variables that its definition names; logs the unusable ones. */
  constructor(private readonly pipelines: Pipelines, patience: Patience, readEnv: ReadEnv) {
    const usable = new Map<string, Source>();
    for (const name of [...pipelines.plans.keys(), ...pipelines.broken.keys()]) {
      try {
        usable.set(name, sourceOf(planFor(pipelines, name), patience, readEnv));
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        this.#reasons.set(name, error.message);
        getLogger(["etl", "extractor"]).error("pipeline can't be extracted", {
          pipeline: name,
          reason: error.message,
        });
      }
    }
    this.usable = usable;
  }

  /** @throws PermanentError with the reason if the pipeline has no usable source. */
  of(pipeline: string): Source {
    const reason = this.#reasons.get(pipeline);
    if (reason !== undefined) throw new PermanentError(reason);
    const source = this.usable.get(pipeline);
    if (source === undefined) planFor(this.pipelines, pipeline);
    return source!;
  }

  [Symbol.dispose](): void {
    for (const source of this.usable.values()) source[Symbol.dispose]();
  }
}
