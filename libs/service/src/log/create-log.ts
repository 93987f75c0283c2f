import pino from 'pino';
import { scopeFields } from '../trace/scope.ts';
import type { Log, LogFields, LogLevel } from './log.ts';
import { type LineWriter, prettyWriter } from './pretty.ts';
import { maskText, redact } from './redact.ts';
import { standardOutput } from './standard-output.ts';

/** What {@link createLog} is given. */
export interface CreateLog {
  /** Whose log it is; stands in every line. */
  readonly service: string;
  /** Lines below this level are not written; `info` where absent. */
  readonly level?: LogLevel;
  /** Where lines go; standard output where absent. */
  readonly destination?: LineWriter;
  /** Lines of text for a person, instead of JSON. */
  readonly pretty?: boolean;
}

/** Makes the log of a service; see the contract of {@link Log}. */
export function createLog(options: CreateLog): Log {
  const plain = options.destination ?? standardOutput();
  const destination = options.pretty === true ? prettyWriter(plain) : plain;
  const settings = {
    level: options.level ?? 'info',
    base: null,
    messageKey: 'message',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const root = pino(settings, { write: (line: string) => void destination.write(line) });
  return wrap(root, { service: options.service });
}

type Fields = Readonly<Record<string, unknown>>;

/** `bound` are the fields of every line; a name that a line brings anew takes their place. */
function wrap(root: pino.Logger, bound: Fields): Log {
  const logger = root.child(bound);
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: LogFields, message: string) => {
    if (!logger.isLevelEnabled(level)) return;
    const own = clean(fields);
    const line = { ...without(scopeFields(), bound), ...own };
    const anew = Object.keys(own).some((name) => Object.hasOwn(bound, name));
    if (anew) root.child({ ...bound, ...line })[level]({}, maskText(message));
    else logger[level](line, maskText(message));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: ({ service, ...fields }) =>
      wrap(root, {
        ...bound,
        ...clean(fields),
        ...(service === undefined ? {} : { service: String(service) }),
      }),
  };
}

function without(fields: Fields | undefined, taken: Fields): Fields {
  if (fields === undefined) return {};
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !Object.hasOwn(taken, name)));
}

const RESERVED = new Set(['time', 'level', 'service', 'message']);

/** The fields, redacted; a name that the line has already gets a `_`, so that no line has a member twice. */
function clean(fields: LogFields): Record<string, unknown> {
  try {
    const safe = redact({ ...fields }) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(safe).map(([name, value]) => [RESERVED.has(name) ? `${name}_` : name, value]),
    );
  } catch (error) {
    // A getter or a toJSON of what is logged threw: the line is worth more than the field.
    return { unloggable: String(error) };
  }
}
