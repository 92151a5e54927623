/** The query is not one that the console runs, or it failed; the message is shown to its author. */
export class SqlRefused extends Error {
  /** Tells it apart in logs. */
  override readonly name = "SqlRefused";
}

/** There is no console; the message says what has to be done for one. */
export class SqlUnavailable extends Error {
  /** Tells it apart in logs. */
  override readonly name = "SqlUnavailable";
}

/** Too many queries are running and waiting. */
export class SqlBusy extends Error {
  /** Tells it apart in logs. */
  override readonly name = "SqlBusy";

  /** Makes the error; `retryAfterSeconds` says when it is worth another try. */
  constructor(readonly retryAfterSeconds: number) {
    super("The SQL console is busy with other queries. Try again in a few seconds.");
  }
}
