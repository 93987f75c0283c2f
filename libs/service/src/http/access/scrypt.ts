import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { PlatformError } from '@morpheo/common';

/** The cost of new hashes: 32 MiB of memory and some 80 ms of one core each (RFC 7914 §2). */
const COST = { N: 32_768, r: 8, p: 1 } as const;
/** The cost where the secret itself is out of reach: see `isRandom`. */
const LITTLE = { N: 16, r: 8, p: 1 } as const;
const KEY_BYTES = 32;
/** What a hash that somebody wrote into a configuration may cost at most, so that it cannot exhaust the process. */
const MOST = { N: 1_048_576, r: 16, p: 4 } as const;

/** A secret as it is kept: what it takes to check one, and nothing to find it out from. */
export interface SecretHash {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/**
 * Hashes a secret for a `CredentialEntry`: `scrypt$N$r$p$<salt>$<key>` in base64url. Every call gives another text.
 * Takes some 80 ms, off the main thread. `isRandom`: a machine drew the secret, of 128 bits at least; trying all such
 * secrets is hopeless at any price, so that a quick hash does.
 */
export async function hashSecret(secret: string, { isRandom = false } = {}): Promise<string> {
  const { N, r, p } = isRandom ? LITTLE : COST;
  const salt = randomBytes(16);
  const key = await derive(secret, { N, r, p, salt, key: Buffer.alloc(KEY_BYTES) });
  return ['scrypt', N, r, p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/** Reads what {@link hashSecret} wrote. Throws `invalid_request`, naming `owner`, where it is something else. */
export function parseSecretHash(text: string, owner: string): SecretHash {
  const [scheme, N, r, p, salt, key, ...rest] = text.split('$');
  const hash = {
    N: Number(N),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt ?? '', 'base64url'),
    key: Buffer.from(key ?? '', 'base64url'),
  };
  if (scheme === 'scrypt' && rest.length === 0 && isAffordable(hash)) return hash;
  throw new PlatformError(
    'invalid_request',
    `The secretHash of "${owner}" is not of the form scrypt$N$r$p$salt$key, or asks for too much work. ` +
      `Make another secret with "morpheo credentials set ${owner} --replace".`,
  );
}

/** Whether `secret` is the one that was hashed; the comparison takes the same time for every wrong one. */
export async function verifySecret(secret: string, hash: SecretHash): Promise<boolean> {
  return timingSafeEqual(await derive(secret, hash), hash.key);
}

function isAffordable({ N, r, p, salt, key }: SecretHash): boolean {
  const powerOfTwo = Number.isSafeInteger(N) && N > 1 && (N & (N - 1)) === 0;
  const bounded = N <= MOST.N && isWithin(r, MOST.r) && isWithin(p, MOST.p);
  return powerOfTwo && bounded && salt.length >= 8 && key.length >= 16 && key.length <= 64;
}

function isWithin(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= most;
}

function derive(secret: string, { N, r, p, salt, key }: SecretHash): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const maxmem = 128 * N * r * p + 1024 * 1024;
    scrypt(secret.normalize('NFC'), salt, key.length, { N, r, p, maxmem }, (error, derived) =>
      error === null ? resolve(derived) : reject(error),
    );
  });
}
