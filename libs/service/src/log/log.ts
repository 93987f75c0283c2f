/**
 * Log: what a service says while it runs, as lines of JSON for machines, or as text for a person at a terminal.
 *
 * Every line has `time` (ISO 8601, UTC), `level`, `service` and `message`, beside the fields that the caller gives.
 * What is said on behalf of an order has `order` and `attempt` as well, and `trace` where it is recorded, without the
 * caller's doing (see `../trace`).
 * Members whose name looks like a secret (password, token, cookie, authorization, …) are written as `[secret]` at any
 * depth, and credentials inside URLs and headers are masked in texts. An error is written with its code, its stack and
 * the chain of its causes, and with nothing else that hangs on it. Logging never throws and never waits.
 */
export interface Log {
  /** For whoever looks for a fault in the program. */
  debug(fields: LogFields, message: string): void;
  /** What happened in the ordinary course. */
  info(fields: LogFields, message: string): void;
  /** Something went wrong and was dealt with. */
  warn(fields: LogFields, message: string): void;
  /** Something went wrong that a person should look at. */
  error(fields: LogFields, message: string): void;
  /** A log that adds these fields to each of its lines; `service` takes the place of the one before. */
  child(fields: LogFields): Log;
}

/** What a line says beside its message. Errors are given as a member, by habit `error`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The levels, from the most talkative to the most silent one. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** See {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log that says nothing: for tests, and for callers who did not give one. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};
