import { randomBytes } from 'node:crypto';
import { CALLER_NAME, PlatformError, type Principal, type Role } from '@morpheo/common';
import { parseSecretHash, type SecretHash } from './scrypt.ts';

/** A caller that is known: `secretHash` is the text that `hashSecret` made. */
export interface CredentialEntry {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly secretHash: string;
  /** The id of a token among those of the name: its secret begins with the id and a dot. Absent: the one secret. */
  readonly token?: string | undefined;
}

/** A caller, and the hash by which it is known. */
export interface KnownCaller {
  /** The name, with a dot and the id of the token where it is one. */
  readonly key: string;
  readonly principal: Principal;
  readonly secretHash: string;
  readonly hash: SecretHash;
}

/** Who is known at one moment. */
export interface KnownCallers {
  /** By the key of a {@link KnownCaller}. */
  get(key: string): KnownCaller | undefined;
  /** Whom a name and a secret claim to be, right or wrong. */
  claimed(name: string, secret: string): KnownCaller | undefined;
  /**
   * The hashes to compare a secret with: that of the caller, and one of nobody for each other cost that hashes have
   * here, in the same order for everybody. So it takes as long to be refused under a name that is known as under
   * another, whatever hash the name has.
   */
  hashesFor(caller: KnownCaller | undefined): readonly SecretHash[];
}

/** Looks entries over. Throws `invalid_request` where one is malformed or given twice. */
export function indexCallers(entries: readonly CredentialEntry[]): KnownCallers {
  const known = new Map<string, KnownCaller>();
  for (const { name, roles, secretHash, token } of entries) {
    const key = token === undefined ? name : keyOf(name, token);
    if (!CALLER_NAME.test(name)) {
      const message = `The name "${name}" should be 1 to 100 characters without dot, colon and space.`;
      throw new PlatformError('invalid_request', message);
    }
    if (known.has(key)) {
      const message = `"${key}" is given twice: one name has one secret. Remove one of the two.`;
      throw new PlatformError('invalid_request', message);
    }
    const principal = { name, roles, ...(token !== undefined && { isPerson: true }) };
    known.set(key, { key, principal, secretHash, hash: parseSecretHash(secretHash, name) });
  }
  const nobodys = hashesOfNobody([...known.values()].map(({ hash }) => hash));
  return {
    get: (key) => known.get(key),
    claimed: (name, secret) => known.get(keyOf(name, secret.split('.', 1)[0] ?? '')) ?? known.get(name),
    hashesFor: (caller) => {
      const own = caller === undefined ? undefined : costOf(caller.hash);
      return nobodys.map(({ cost, hash }) => (cost === own && caller !== undefined ? caller.hash : hash));
    },
  };
}

/** A name has no dot. */
function keyOf(name: string, token: string): string {
  return `${name}.${token}`;
}

/** One hash that no secret has for each cost, the cheapest first. */
function hashesOfNobody(hashes: readonly SecretHash[]): { cost: string; hash: SecretHash }[] {
  const byCost = new Map(hashes.map((hash) => [costOf(hash), hash]));
  const sorted = [...byCost].sort(([, one], [, other]) => workOf(one) - workOf(other));
  return sorted.map(([cost, { N, r, p, salt, key }]) => ({
    cost,
    hash: { N, r, p, salt: randomBytes(salt.length), key: randomBytes(key.length) },
  }));
}

function costOf({ N, r, p, salt, key }: SecretHash): string {
  return [N, r, p, salt.length, key.length].join(' ');
}

function workOf({ N, r, p }: SecretHash): number {
  return N * r * p;
}
