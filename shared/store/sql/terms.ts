/** Builds the conditions of a query step by step. */
import type { Bindable } from "./sql.ts";

class Raw {
  constructor(readonly sql: string) {}
}

/** Conditions, and the values bound to them. As text, the WHERE clause; empty without conditions. */
export class Terms {
  readonly values: Bindable[] = [];
  readonly #terms: string[] = [];

  /** Adds a condition whose `${…}` are bound values, or SQL if they are `raw`. */
  add(parts: TemplateStringsArray, ...values: (Bindable | Raw)[]): void {
    this.addSql(
      String.raw(
        { raw: parts },
        ...values.map((value) => value instanceof Raw ? value.sql : this.bind(value)),
      ),
    );
  }

  /** SQL inside a condition of `add`. */
  raw(sql: string): Raw {
    return new Raw(sql);
  }

  /** Adds a condition as SQL. */
  addSql(term: string): void {
    this.#terms.push(term);
  }

  /** Binds a value; returns its parameter. */
  bind(value: Bindable): string {
    return `$${this.values.push(value)}`;
  }

  toString(): string {
    return this.#terms.length === 0 ? "" : `WHERE ${this.#terms.join(" AND ")}`;
  }
}
