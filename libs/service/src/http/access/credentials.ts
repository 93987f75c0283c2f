import { hash, randomUUID } from 'node:crypto';
import type { Principal, Role } from '@morpheo/common';
import { createAuthThrottle } from './auth-throttle.ts';
import { type CredentialEntry, indexCallers, type KnownCaller } from './known-callers.ts';
import { type SecretHash, verifySecret } from './scrypt.ts';

/**
 * Finds out who calls from the `Authorization` field: the principal, or null where it is missing, malformed or wrong.
 * Throws `rate_limited` where too many unknown secrets are being checked already, and what `guess` throws.
 */
export type Authenticate = (authorization: string | undefined, guess?: Guess) => Promise<Principal | null>;

/** Is called before a secret that is not known yet is looked at; what it returns is called where it was right. */
export type Guess = () => Promise<() => Promise<void>>;

/** Where callers are known from: the credentials of this service, or the people of the platform. */
export type CallerSource = 'file' | 'people';

/** Who may call a service; it may change while the service runs. */
export interface Callers {
  readonly authenticate: Authenticate;
  /** The roles of a name as a source has it; undefined where it has no such name. */
  rolesOf(name: string, source: CallerSource): readonly Role[] | undefined;
  /**
   * Puts these entries in the place of those that the source had. From then on nobody is let in who is known no more,
   * and who was let in before has the roles that stand here. Returns the names of people that are names of the file
   * too: these people are not let in. Throws `invalid_request`, and changes nothing, where an entry is malformed or
   * given twice.
   */
  replace(source: CallerSource, entries: readonly CredentialEntry[]): readonly string[];
}

/** The most characters of the field that are looked at. */
const LONGEST = 4096;
/** How many answers, good and bad apart, are remembered, so that a repeated secret costs a hash once. */
const REMEMBERED = 1000;
/** Hashing takes memory and a core: at most so many at once, and so many more that wait. */
const HASHING = { atOnce: 2, waiting: 64 } as const;

/** {@link createCallers} of whom nobody comes or goes. */
export function credentials(entries: readonly CredentialEntry[]): Authenticate {
  return createCallers(entries).authenticate;
}

/**
 * Knows callers by `Basic` (RFC 7617, `name:secret`) and `Bearer` (RFC 6750, the token is `name.secret`); at first
 * those of the file.
 *
 * A good secret is hashed once a process and then remembered under a keyed digest, so that a call costs microseconds;
 * a wrong one takes as long whatever name it comes with. Throws `invalid_request` where an entry is malformed or given
 * twice. `verify` compares a secret with a hash.
 */
export function createCallers(entries: readonly CredentialEntry[], verify = verifySecret): Callers {
  const sources = new Map<CallerSource, readonly CredentialEntry[]>([['file', entries]]);
  let known = indexCallers(entries);
  const digestKey = randomUUID();
  const throttle = createAuthThrottle(HASHING.atOnce, HASHING.waiting);
  const good = new Map<string, Right>();
  const bad = new Map<string, null>();
  const underWay = new Map<string, Promise<Principal | null>>();

  /** Of the index of this moment: a caller may go, or get other roles, while its secret is being hashed. */
  const principalOf = (right: Right): Principal | undefined => {
    const caller = known.get(right.key);
    return caller?.secretHash === right.secretHash ? caller.principal : undefined;
  };

  async function checkAndRemember(digest: string, claimed: Claimed, guess: Guess): Promise<Principal | null> {
    try {
      const wasRight = await guess();
      const asked = known;
      const caller = asked.claimed(claimed.name, claimed.secret);
      const hashes = asked.hashesFor(caller);
      const right = await throttle(async () => await isRight(claimed.secret, { caller, hashes, verify }));
      const principal = caller !== undefined && right ? principalOf(caller) : undefined;
      if (caller !== undefined && principal !== undefined) {
        remember(good, digest, { key: caller.key, secretHash: caller.secretHash });
        await wasRight();
      } else if (known === asked) {
        remember(bad, digest, null);
      }
      return principal ?? null;
    } finally {
      underWay.delete(digest);
    }
  }

  return {
    authenticate: async (authorization, guess = freely) => {
      if (authorization === undefined || authorization.length > LONGEST) return null;
      const digest = hash('sha256', `${digestKey}${authorization}`, 'base64');
      const remembered = good.get(digest);
      const principal = remembered === undefined ? bad.get(digest) : principalOf(remembered);
      if (principal !== undefined) return principal;
      good.delete(digest);
      const claimed = parseAuthorization(authorization);
      if (claimed === null) return null;
      const pending = underWay.get(digest) ?? checkAndRemember(digest, claimed, guess);
      underWay.set(digest, pending);
      return await pending;
    },
    rolesOf: (name, source) => sources.get(source)?.find((entry) => entry.name === name)?.roles,
    replace(source, given) {
      const next = new Map(sources).set(source, given);
      const names = new Set(next.get('file')?.map(({ name }) => name));
      const people = next.get('people') ?? [];
      known = indexCallers([...(next.get('file') ?? []), ...people.filter(({ name }) => !names.has(name))]);
      sources.set(source, given);
      bad.clear();
      return [...new Set(people.map(({ name }) => name).filter((name) => names.has(name)))];
    },
  };
}

/** A secret that was right: of whom, and by which hash. */
type Right = Pick<KnownCaller, 'key' | 'secretHash'>;

const freely: Guess = async () => async () => undefined;

/** Hashes as often for whoever is refused. */
async function isRight(
  secret: string,
  {
    caller,
    hashes,
    verify,
  }: {
    readonly caller: KnownCaller | undefined;
    readonly hashes: readonly SecretHash[];
    readonly verify: typeof verifySecret;
  },
): Promise<boolean> {
  for (const expected of hashes) {
    const right = await verify(secret, expected);
    if (right && expected === caller?.hash) return true;
  }
  return false;
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
