/**
 * Conditions of a query that are known one after the other.
 *
 * @module
 */
import type { Bindable } from "./sql.ts";

class Raw {
  constructor(readonly sql: string) {}
}

/** What has to hold, and the values that it is bound to. As text it is the WHERE clause; empty where anything may be. */
export class Terms {
  readonly values: Bindable[] = [];
  readonly #terms: string[] = [];

  /** Adds a condition whose `${…}` are values, or SQL where they are `raw`. */
  add(parts: TemplateStringsArray, ...values: (Bindable | Raw)[]): void {
    this.addSql(
      String.raw(
        { raw: parts },
        ...values.map((value) => value instanceof Raw ? value.sql : this.bind(value)),
      ),
    );
  }

  /** SQL, for `add`. */
  raw(sql: string): Raw {
    return new Raw(sql);
  }

  /** Adds a condition as SQL. */
  addSql(term: string): void {
    this.#terms.push(term);
  }

  /** The parameter that stands for a value. */
  bind(value: Bindable): string {
    return `$${this.values.push(value)}`;
  }

  toString(): string {
    return this.#terms.length === 0 ? "" : `WHERE ${this.#terms.join(" AND ")}`;
  }
}
