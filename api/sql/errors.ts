/** The message is shown to the author of the query. */
export class SqlRefused extends Error {
  override readonly name = "SqlRefused";
}

/** No console is configured; the message says how to configure one. */
export class SqlUnavailable extends Error {
  override readonly name = "SqlUnavailable";
}

export class SqlBusy extends Error {
  override readonly name = "SqlBusy";

  constructor(readonly retryAfterSeconds: number, state = "busy with other queries") {
    super(`The SQL console is ${state}. Try again in a few seconds.`);
  }
}
