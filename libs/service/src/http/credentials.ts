import { hash, randomUUID } from 'node:crypto';
import { PlatformError, type Principal, type Role } from '@morpheo/common';
import { createGate } from './gate.ts';
import { parseSecretHash, type SecretHash, verifySecret } from './scrypt.ts';

/**
 * Finds out who calls from the `Authorization` field: the principal, or null where it is missing, malformed or wrong.
 * Throws `rate_limited` where too many unknown secrets are being checked already, and what `guess` throws.
 */
export type Authenticate = (authorization: string | undefined, guess?: Guess) => Promise<Principal | null>;

/** Is called before a secret that is not known yet is looked at; what it returns is called where it was right. */
export type Guess = () => Promise<() => Promise<void>>;

/** A caller that is known: `secretHash` is the text that `hashSecret` made. */
export interface CredentialEntry {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly secretHash: string;
}

interface Known {
  readonly principal: Principal;
  readonly hash: SecretHash;
}

/** How many answers, good and bad apart, are remembered, so that a repeated secret costs a hash once. */
const REMEMBERED = 1000;
/** Hashing takes memory and a core: at most so many at once, and so many more that wait. */
const HASHING = { atOnce: 2, waiting: 64 } as const;

/**
 * Knows callers by `Basic` (RFC 7617, `name:secret`) and `Bearer` (RFC 6750, the token is `name.secret`).
 *
 * A good secret is hashed once a process and then remembered under a keyed digest, so that a call costs microseconds;
 * unknown names take as long as wrong secrets. Throws `invalid_request` where an entry is malformed or given twice.
 */
export function credentials(entries: readonly CredentialEntry[]): Authenticate {
  const known = indexByName(entries);
  const decoy = known.values().next().value;
  const digestKey = randomUUID();
  const gate = createGate(HASHING.atOnce, HASHING.waiting);
  const good = new Map<string, Principal>();
  const bad = new Map<string, null>();
  const underWay = new Map<string, Promise<Principal | null>>();

  async function check(name: string, secret: string): Promise<Principal | null> {
    const entry = known.get(name);
    const expected = (entry ?? decoy)?.hash;
    if (expected === undefined) return null;
    const right = await gate(() => verifySecret(secret, expected));
    return right && entry !== undefined ? entry.principal : null;
  }

  async function checkAndRemember(digest: string, claimed: Claimed, guess: Guess): Promise<Principal | null> {
    try {
      const wasRight = await guess();
      const principal = await check(claimed.name, claimed.secret);
      if (principal === null) remember(bad, digest, null);
      else {
        remember(good, digest, principal);
        await wasRight();
      }
      return principal;
    } finally {
      underWay.delete(digest);
    }
  }

  return async (authorization, guess = freely) => {
    if (authorization === undefined) return null;
    const digest = hash('sha256', `${digestKey}${authorization}`, 'base64');
    const remembered = good.get(digest) ?? bad.get(digest);
    if (remembered !== undefined) return remembered;
    const claimed = parseAuthorization(authorization);
    if (claimed === null) return null;
    const pending = underWay.get(digest) ?? checkAndRemember(digest, claimed, guess);
    underWay.set(digest, pending);
    return pending;
  };
}

const freely: Guess = async () => async () => undefined;

function indexByName(entries: readonly CredentialEntry[]): Map<string, Known> {
  const known = new Map<string, Known>();
  for (const { name, roles, secretHash } of entries) {
    if (!/^[^.:\s]{1,100}$/.test(name) || known.has(name)) {
      throw new PlatformError(
        'invalid_request',
        `The credential name "${name}" is given twice, or is not 1 to 100 characters without dot, colon and space.`,
      );
    }
    known.set(name, { principal: { name, roles }, hash: parseSecretHash(secretHash, name) });
  }
  return known;
}

interface Claimed {
  readonly name: string;
  readonly secret: string;
}

function parseAuthorization(field: string): Claimed | null {
  const [, scheme, value] = /^(basic|bearer) +([\w.~+/=-]+) *$/i.exec(field) ?? [];
  if (scheme === undefined || value === undefined) return null;
  const basic = scheme.toLowerCase() === 'basic';
  const text = basic ? Buffer.from(value, 'base64').toString('utf8') : value;
  const at = text.indexOf(basic ? ':' : '.');
  // RFC 7617 §2 forbids them; and to the hash, a secret and the same with NULs at its end are one (RFC 2104 §2).
  return at < 1 || /\p{Cc}/u.test(text) ? null : { name: text.slice(0, at), secret: text.slice(at + 1) };
}

function remember<T>(memory: Map<string, T>, digest: string, value: T): void {
  memory.set(digest, value);
  if (memory.size <= REMEMBERED) return;
  for (const oldest of memory.keys()) {
    memory.delete(oldest);
    return;
  }
}
