import * as z from 'zod';
import type { NamedTerms } from '../needs.ts';
import { GoUuidError, NIL_UUID, parseGoUuid } from '../uuid.ts';

/**
 * JSON as the original Go services read it, so that whatever their clients send keeps its meaning: only the first
 * value of a body counts, keys match in any case, unknown keys are dropped, `null` and absence are the zero value.
 * Source: wire format of the classic compute API, "UUID and JSON parsing rules".
 */

/** Why a body could not be decoded; its message follows "Error decoding body to JSON: " in the answer. */
export class GoJsonError extends Error {
  override name = 'GoJsonError';
}

/** A number that was not written as a plain integer (`1.5`, `1e2`): kept apart so that integer fields refuse it. */
class Fraction {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/**
 * Decodes the first JSON value of `text` into `schema`, which is made by {@link goStruct}.
 * Throws {@link GoJsonError}: an empty text is "EOF", a wrong type names the field.
 */
export function decodeGoJson<T extends z.ZodType>(text: string, schema: T): z.output<T> {
  const result = schema.safeParse(parseFirstValue(text));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new GoJsonError(issue?.message ?? 'invalid value');
}

/** May match inside a text, never misses a number: reviving takes several times as long as parsing. */
const MAYBE_FRACTION = /[:,[{][ \t\r\n]*-?\d+[.eE]|^-?\d+[.eE]/;

function parseFirstValue(text: string): unknown {
  if (!MAYBE_FRACTION.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // Not one value alone, or none at all: what follows tells.
    }
  }
  const value = firstValue(text);
  try {
    return MAYBE_FRACTION.test(value) ? JSON.parse(value, markFractions) : JSON.parse(value);
  } catch (cause) {
    // Reviving recurses: what is nested deeper than the stack is refused as the originals refuse it.
    if (cause instanceof RangeError) throw new GoJsonError('exceeded max depth', { cause });
    throw new GoJsonError(cause instanceof Error ? cause.message : 'invalid JSON', { cause });
  }
}

function markFractions(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number') return value;
  const source = context?.source ?? String(value);
  return /^-?\d+$/.test(source) ? value : new Fraction(source);
}

/** The text of the first value, without what follows it. */
function firstValue(text: string): string {
  const start = text.search(/[^ \t\r\n]/);
  if (start < 0) throw new GoJsonError('EOF');
  const opening = text[start];
  if (opening === '{' || opening === '[') return text.slice(start, endOfNesting(text, start));
  const single = /"(?:[^"\\]|\\.)*"|null|true|false|-?\d[\d.eE+-]*/y;
  single.lastIndex = start;
  return single.exec(text)?.[0] ?? text.slice(start);
}

function endOfNesting(text: string, start: number): number {
  const marks = /["\\{}[\]]/g;
  marks.lastIndex = start;
  let depth = 0;
  let quoted = false;
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    if (mark[0] === '\\') marks.lastIndex++;
    else if (mark[0] === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (mark[0] === '{' || mark[0] === '[') depth++;
    else if (--depth === 0) return marks.lastIndex;
  }
  throw new GoJsonError('unexpected EOF');
}

/** A UUID field: any text the originals take; null and absence are the nil UUID. */
export const goUuid = z
  .unknown()
  .transform((value, context) => readUuid(value, (message) => context.addIssue({ code: 'custom', message })))
  .meta({ type: ['string', 'null'], format: 'uuid' })
  .prefault(null);

/** A list of UUIDs; null and absence are the empty list, a null inside is the nil UUID. */
export const goUuidList = z
  .unknown()
  .transform((value, context) => {
    if (value === null || value === undefined) return [];
    if (!Array.isArray(value)) {
      context.addIssue({ code: 'custom', message: mismatch(value, '[]uuid.UUID') });
      return z.NEVER;
    }
    return value.map((item) => readUuid(item, (message) => context.addIssue({ code: 'custom', message })));
  })
  .meta({ type: ['array', 'null'], items: { type: ['string', 'null'], format: 'uuid' } })
  .prefault(null);

/** An integer field; null and absence are 0, a fraction or a text is refused. */
export const goInt = z
  .unknown()
  .transform((value, context) => {
    if (value === null || value === undefined) return 0;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value + 0;
    context.addIssue({ code: 'custom', message: mismatch(value, 'int') });
    return z.NEVER;
  })
  .meta({ type: ['integer', 'null'] })
  .prefault(null);

/** An integer field of ours, not the originals': null and absence are kept apart from 0, as absence. */
export const goOptionalInt = z
  .unknown()
  .transform((value, context) => {
    if (value === null || value === undefined) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value + 0;
    context.addIssue({ code: 'custom', message: mismatch(value, 'int') });
    return z.NEVER;
  })
  .meta({ type: ['integer', 'null'] })
  .optional();

/** A text field of ours, not the originals': null and absence are kept apart from the empty text, as absence. */
export const goOptionalString = z
  .unknown()
  .transform((value, context) => {
    if (value === null || value === undefined) return undefined;
    if (typeof value === 'string') return value;
    context.addIssue({ code: 'custom', message: mismatch(value, 'string') });
    return z.NEVER;
  })
  .meta({ type: ['string', 'null'] })
  .optional();

const namedTerms = z.strictObject({
  runtime: z.string().optional(),
  arch: z.string().optional(),
  warm: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
});

/**
 * What an order needs, a field of ours: null, absence and an object that names nothing are absence. Its members are put in
 * order, so that the same needs are the same text; their values are not checked. An unknown member is refused, since an
 * order that drops a need would run where it must not.
 */
export const goOptionalNeeds = z
  .unknown()
  .transform((value, context): NamedTerms | undefined => {
    if (value === null || value === undefined) return undefined;
    if (typeof value !== 'object' || Array.isArray(value) || value instanceof Fraction) {
      context.addIssue({ code: 'custom', message: mismatch(value, 'needs') });
      return z.NEVER;
    }
    const parsed = namedTerms.safeParse(value);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const path = ['needs', ...(issue?.path ?? [])].join('.');
      context.addIssue({ code: 'custom', message: `${path}: ${issue?.message ?? 'does not fit'}` });
      return z.NEVER;
    }
    return inOrder(parsed.data);
  })
  .meta({
    type: ['object', 'null'],
    properties: {
      runtime: { type: 'string' },
      arch: { type: 'string' },
      warm: { type: 'string' },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
    },
    additionalProperties: false,
  })
  .optional();

function inOrder({ runtime, arch, warm, labels = {} }: NamedTerms): NamedTerms | undefined {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const named = {
    ...(runtime === undefined ? {} : { runtime }),
    ...(arch === undefined ? {} : { arch }),
    ...(warm === undefined ? {} : { warm }),
    ...(sorted.length === 0 ? {} : { labels: Object.fromEntries(sorted) }),
  };
  return Object.keys(named).length === 0 ? undefined : named;
}

/** A text field; null and absence are the empty text. */
export const goString = z
  .unknown()
  .transform((value, context) => {
    if (value === null || value === undefined) return '';
    if (typeof value === 'string') return value;
    context.addIssue({ code: 'custom', message: mismatch(value, 'string') });
    return z.NEVER;
  })
  .meta({ type: ['string', 'null'] })
  .prefault(null);

/**
 * An object with the fields of `shape`, its keys matched in any case (of a key given twice the last counts).
 * `null` is the object of zero values. The originals' embedded `Checkable` may be present only as null.
 */
export function goStruct<S extends z.ZodRawShape>(shape: S) {
  const byLowerCase = new Map(Object.keys(shape).map((key) => [key.toLowerCase(), key]));
  return z.preprocess((value, context) => {
    if (value === null) return {};
    if (typeof value !== 'object' || Array.isArray(value) || value instanceof Fraction) {
      context.addIssue({ code: 'custom', message: mismatch(value, 'object') });
      return z.NEVER;
    }
    const fields: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value)) {
      const known = byLowerCase.get(key.toLowerCase());
      if (known !== undefined) fields[known] = field;
      else if (key.toLowerCase() === 'checkable' && field !== null) {
        context.addIssue({ code: 'custom', message: mismatch(field, 'Checkable') });
        return z.NEVER;
      }
    }
    return fields;
  }, z.object(shape));
}

function readUuid(value: unknown, refuse: (message: string) => void): string {
  if (value === null || value === undefined) return NIL_UUID;
  if (typeof value !== 'string') {
    refuse(mismatch(value, 'uuid.UUID'));
    return NIL_UUID;
  }
  try {
    return parseGoUuid(value);
  } catch (cause) {
    if (!(cause instanceof GoUuidError)) throw cause;
    refuse(cause.message);
    return NIL_UUID;
  }
}

function mismatch(value: unknown, wanted: string): string {
  return `json: cannot unmarshal ${nameOf(value)} into Go value of type ${wanted}`;
}

function nameOf(value: unknown): string {
  if (value instanceof Fraction) return `number ${value.source}`;
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}
