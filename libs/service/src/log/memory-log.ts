import { createLog } from './create-log.ts';
import type { Log, LogLevel } from './log.ts';

/** One line, as a reader of the log would find it: fields are redacted and errors written out. */
export interface LogEntry {
  readonly time: string;
  readonly level: LogLevel;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A log that keeps its lines; see {@link memoryLog}. */
export interface MemoryLog extends Log {
  /** All lines so far, those of its children too, oldest first. */
  readonly entries: readonly LogEntry[];
}

/** A log for tests: it keeps every line, of all levels, for the test to read. */
export function memoryLog(): MemoryLog {
  const entries: LogEntry[] = [];
  const destination = { write: (line: string) => entries.push(JSON.parse(line) as LogEntry) };
  return Object.assign(createLog({ service: 'test', level: 'debug', destination }), { entries });
}
