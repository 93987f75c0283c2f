import type { ByteRange } from './blob-store/index.ts';
import { parseByteRange } from './byte-range.ts';

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
