import { randomBytes, scryptSync } from 'node:crypto';

/** A hash as `hashSecret` makes them, of next to no cost: for tests alone. */
export function cheapHash(secret: string): string {
  const salt = randomBytes(16);
  const key = scryptSync(secret.normalize('NFC'), salt, 32, { N: 2, r: 1, p: 1 });
  return `scrypt$2$1$1$${salt.toString('base64url')}$${key.toString('base64url')}`;
}
