import type { ByteRange } from './blob-store/index.ts';

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
