import type { Log, LogFields } from '@morpheo/service/log';
import type { Trace } from './trace.ts';

/** A log whose lines go to a trace, with what a person needs to follow an order. */
export function traceLog(trace: Trace, who: string, given: LogFields = {}): Log {
  const line = (fields: LogFields, message: string): void =>
    trace.say(who, `${message}${facts({ ...given, ...fields })}`);
  return {
    debug: () => undefined,
    info: line,
    warn: line,
    error: line,
    child: (fields) => traceLog(trace, who, { ...given, ...fields }),
  };
}

const SHOWN = ['order', 'attempt', 'outcome', 'why', 'effect', 'loop', 'error', 'err'];

function facts(fields: LogFields): string {
  const shown = SHOWN.filter((name) => fields[name] !== undefined).map(
    (name) => `${name}=${brief(fields[name])}`,
  );
  return shown.length === 0 ? '' : ` (${shown.join(', ')})`;
}

function brief(value: unknown): string {
  const text = value instanceof Error ? value.message : String(value);
  return /^[0-9a-f]{8}-/.test(text) ? text.slice(0, 8) : text.slice(0, 100);
}
