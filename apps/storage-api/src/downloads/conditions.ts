import type { ByteRange } from '../blobs/index.ts';

/** The fields of a request that decide what is sent of a blob, by lower-case name. */
export interface Conditions {
  readonly range?: string | undefined;
  readonly 'if-range'?: string | undefined;
  readonly 'if-none-match'?: string | undefined;
  readonly 'if-match'?: string | undefined;
  /** How the sender would like to be served (RFC 7240). */
  readonly prefer?: string | undefined;
}

/** What is to be sent: everything, a part, or nothing and why. */
export type Selection =
  | { readonly status: 200 }
  | { readonly status: 206; readonly range: ByteRange }
  | { readonly status: 304 | 412 | 416 };

/**
 * Weighs the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2, for a representation of `size` bytes with
 * the strong entity tag `etag` (in its quotes). Dates are never compared, for none are sent.
 */
export function selectRepresentation(
  method: 'GET' | 'HEAD',
  conditions: Conditions,
  { etag, size }: { readonly etag: string; readonly size: number },
): Selection {
  const ifMatch = conditions['if-match'];
  if (ifMatch !== undefined && !strongMatch(ifMatch, etag)) return { status: 412 };
  const ifNoneMatch = conditions['if-none-match'];
  if (ifNoneMatch !== undefined && weakMatch(ifNoneMatch, etag)) return { status: 304 };
  const ifRange = conditions['if-range']?.trim();
  if (method === 'HEAD' || (ifRange !== undefined && ifRange !== etag)) return { status: 200 };
  const range = parseByteRange(conditions.range, size);
  if (range === null) return { status: 200 };
  return range === 'unsatisfiable' ? { status: 416 } : { status: 206, range };
}

function strongMatch(field: string, etag: string): boolean {
  return field.trim() === '*' || tagsOf(field).includes(etag);
}

function weakMatch(field: string, etag: string): boolean {
  return field.trim() === '*' || tagsOf(field).some((tag) => tag.replace(/^W\//, '') === etag);
}

function tagsOf(field: string): string[] {
  return field.match(/(?:W\/)?"[^"]*"/g) ?? [];
}

/**
 * What a `Range` field (RFC 9110 §14.2) asks of `size` bytes: one part of them, `unsatisfiable` where that part lies
 * outside, or null where all of them are to be sent: for no field, a malformed one, another unit than bytes, or several
 * ranges, which a server may answer with the whole.
 */
export function parseByteRange(field: string | undefined, size: number): ByteRange | 'unsatisfiable' | null {
  const [, list] = /^bytes=(.*)$/i.exec(field?.trim() ?? '') ?? [];
  const specs = (list ?? '').split(',').flatMap((spec) => spec.trim() || []);
  const [spec, second] = specs;
  if (spec === undefined || second !== undefined) return null;
  const [, first, last, suffix] = /^(?:(\d+)-(\d*)|-(\d+))$/.exec(spec) ?? [];
  if (suffix !== undefined) return lastBytes(Number(suffix), size);
  if (first === undefined) return null;
  const start = Number(first);
  const end = last === '' || last === undefined ? Number.POSITIVE_INFINITY : Number(last);
  if (start > end) return null;
  return start < size ? { start, end: Math.min(end, size - 1) } : 'unsatisfiable';
}

function lastBytes(count: number, size: number): ByteRange | 'unsatisfiable' {
  if (count === 0 || size === 0) return 'unsatisfiable';
  return { start: Math.max(0, size - count), end: size - 1 };
}
