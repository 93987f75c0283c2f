import type { Log } from './log.ts';

/** A log that says nothing: for tests, and for callers who did not give one. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};
