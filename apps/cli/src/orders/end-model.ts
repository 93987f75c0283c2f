import { createHash } from 'node:crypto';

/**
 * The id that the model of a training order will have where the caller names none: made from the order's id (UUID
 * version 8, RFC 9562 §5.8), so that the same order sent again is the same in every member.
 */
export function endModelOf(order: string): string {
  const bytes = createHash('sha256').update(`the model of order ${order}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
