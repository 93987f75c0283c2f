import * as z from 'zod';

/** A SHA-256 digest as 64 lower-case hexadecimal digits: the name of a blob everywhere in the platform. */
export const sha256Hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/i, 'should be a SHA-256 digest of 64 hexadecimal digits')
  .toLowerCase();

/** Writes a digest as the value of `Repr-Digest` or `Content-Digest` (RFC 9530 §2): `sha-256=:<base64>:`. */
export function formatDigestField(hex: string): string {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return `sha-256=:${btoa(String.fromCharCode(...bytes))}:`;
}

/** Six digests, of which each is as long as any that there is (RFC 9530 §5), have fewer characters. */
const LONGEST_FIELD = 1000;

/**
 * Reads the SHA-256 of a `Content-Digest` or `Repr-Digest` field (RFC 9530 §2) as hexadecimal digits.
 * Other algorithms in the field are passed over. Returns null where the field is malformed, has no SHA-256,
 * or has more than 1,000 characters.
 */
export function parseDigestField(field: string): string | null {
  if (field.length > LONGEST_FIELD) return null;
  for (const member of field.split(',')) {
    const match = /^\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*$/.exec(member);
    if (match?.[1] === undefined) continue;
    return Array.from(atob(match[1]), (char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  }
  return null;
}
