const SECRET_NAME =
  /authorization|cookie|credential|passw(or)?d|passphrase|secret|token|api[-_]?key|private[-_]?key/i;
const MOST_DEPTH = 8;
const MOST_ITEMS = 100;
const MOST_TEXT = 16_384;
const MOST_CAUSES = 8;

/**
 * A copy of a value that is fit for a log: plain JSON, bounded in depth and length, members with a secret's name
 * replaced by `[secret]`, credentials inside texts masked, and errors written out by {@link describeError}.
 */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return maskText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MOST_DEPTH) return '[too deep]';
  if (value instanceof Error) return describeError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return redact(value.toJSON(), depth + 1);
  if (Array.isArray(value)) return value.slice(0, MOST_ITEMS).map((item) => redact(item, depth + 1));
  if (value instanceof Map) return redact(Object.fromEntries(value), depth + 1);
  if (value instanceof Set) return redact([...value], depth + 1);
  return redactMembers(value, depth);
}

function redactMembers(value: object, depth: number): Record<string, unknown> {
  const members = Object.entries(value).slice(0, MOST_ITEMS);
  return Object.fromEntries(members.map(([name, member]) => [name, redactMember(name, member, depth)]));
}

function redactMember(name: string, member: unknown, depth: number): unknown {
  // A yes or no about a secret (`hasPassword`) is not one.
  if (SECRET_NAME.test(name) && member != null && typeof member !== 'boolean') return '[secret]';
  return redact(member, depth + 1);
}

/**
 * An error for a log: its class, code, message, stack, details and causes. Nothing else that hangs on it is
 * kept: libraries hang whole requests, with their headers, on their errors.
 */
export function describeError(error: Error, depth = 0): Record<string, unknown> {
  const told: Record<string, unknown> = { type: error.name, message: maskText(error.message) };
  const { code, details, stack } = error as Error & { code?: unknown; details?: unknown };
  if (typeof code === 'string' || typeof code === 'number') told.code = code;
  if (details !== undefined && !isEmpty(details)) told.details = redact(details, depth + 1);
  if (stack !== undefined) told.stack = maskText(stack);
  if (error.cause !== undefined)
    told.cause = depth < MOST_CAUSES ? redact(error.cause, depth + 1) : '[too deep]';
  if (error instanceof AggregateError) told.errors = redact(error.errors, depth + 1);
  return told;
}

/** A text without the credentials that URLs and `Authorization` values carry, and no longer than 16 KiB. */
export function maskText(text: string): string {
  const short = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}… (${text.length} characters)` : text;
  return short
    .replace(/(:\/\/)[^/?#\s"'@]+@/g, '$1[secret]@')
    .replace(/\b(Basic|Bearer)\s+[\w~+/.=-]{6,}/gi, '$1 [secret]');
}

function isEmpty(details: unknown): boolean {
  return typeof details === 'object' && details !== null && Object.keys(details).length === 0;
}
