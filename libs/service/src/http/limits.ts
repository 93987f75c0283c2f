/** Bounds on what one request may take; each has a default. */
export interface Limits {
  /** A JSON body, in bytes; 1 MiB where absent. */
  readonly jsonBytes?: number;
  /** How long a JSON body may take to arrive, in milliseconds; 30 s where absent. */
  readonly jsonMs?: number;
  /** How long an upload may be silent, in milliseconds; 60 s where absent. It may take any time in all. */
  readonly idleMs?: number;
  /** How often an event stream says that it lives, in milliseconds; 15 s where absent. */
  readonly heartbeatMs?: number;
}

/** {@link Limits} with the defaults filled in. */
export function withDefaults(limits: Limits = {}): Required<Limits> {
  return { jsonBytes: 1024 * 1024, jsonMs: 30_000, idleMs: 60_000, heartbeatMs: 15_000, ...limits };
}
