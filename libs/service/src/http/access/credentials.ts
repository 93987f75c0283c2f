import { isUtf8 } from 'node:buffer';
import { hash, randomUUID } from 'node:crypto';
import type { Principal, Role } from '@morpheo/common';
import { createAuthThrottle } from './auth-throttle.ts';
import { type CredentialEntry, indexCallers, type KnownCaller } from './known-callers.ts';
import { type SecretHash, verifySecret } from './scrypt.ts';

/**
 * Finds out who calls from the `Authorization` field: the principal, or null where it is missing, malformed or wrong.
 * Throws `rate_limited` where too many unknown secrets are being checked already, and what `guess` throws.
 */
export type Authenticate = (authorization: string | undefined, asking?: Asking) => Promise<Principal | null>;

/** One client of several: it takes only its share of the secrets that wait to be checked. */
export interface Asking {
  /** Where it calls from; absent where that tells no clients apart: then each name that is claimed has its share. */
  readonly from?: string | undefined;
  readonly guess: Guess;
}

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
/** How many wrong secrets are remembered, so that a repeated one costs a hash once. */
const REMEMBERED = 1000;
/** Hashing takes memory and a core: at most so many at once, and so many more that wait, of one client at most `each`. */
const HASHING = { atOnce: 2, waiting: 64, each: 16 } as const;

/** {@link createCallers} of whom nobody comes or goes. */
export function credentials(entries: readonly CredentialEntry[]): Authenticate {
  return createCallers(entries).authenticate;
}

/**
 * Knows callers by `Basic` (RFC 7617, `name:secret`) and `Bearer` (RFC 6750, the token is `name.secret`); at first
 * those of the file.
 *
 * The right secret of a caller is hashed once a process and then remembered by a keyed digest, one of each caller, so
 * that a call costs microseconds, however the field spells it and whatever others send; a wrong one takes as long
 * whatever name it comes with. Throws `invalid_request` where an entry is malformed or given
 * twice. `verify` compares a secret with a hash.
 */
export function createCallers(entries: readonly CredentialEntry[], verify = verifySecret): Callers {
  const sources = new Map<CallerSource, readonly CredentialEntry[]>([['file', entries]]);
  let known = indexCallers(entries);
  const digestKey = randomUUID();
  const throttle = createAuthThrottle(HASHING);
  /** By the key of the caller. */
  const good = new Map<string, Right>();
  /** By the digest of a name and a secret, as are those that are being checked. */
  const bad = new Set<string>();
  const underWay = new Map<string, Promise<Principal | null>>();

  /** Of the index of this moment: a caller may go, or get other roles, while its secret is being hashed. */
  const principalOf = ({
    key,
    secretHash,
  }: Pick<KnownCaller, 'key' | 'secretHash'>): Principal | undefined => {
    const caller = known.get(key);
    return caller?.secretHash === secretHash ? caller.principal : undefined;
  };

  const rememberedOf = ({ name, secret }: Claimed, digest: string): Principal | null | undefined => {
    if (bad.has(digest)) return null;
    const caller = known.claimed(name, secret);
    const right = caller === undefined ? undefined : good.get(caller.key);
    return caller !== undefined && right?.digest === digest && right.secretHash === caller.secretHash
      ? caller.principal
      : undefined;
  };

  async function checkAndRemember(
    digest: string,
    claimed: Claimed,
    asking?: Asking,
  ): Promise<Principal | null> {
    try {
      const wasRight = await asking?.guess();
      const asked = known;
      const caller = asked.claimed(claimed.name, claimed.secret);
      const hashes = asked.hashesFor(caller);
      const client = asking === undefined ? undefined : (asking.from ?? claimed.name);
      const right = await throttle(
        client,
        async () => await isRight(claimed.secret, { caller, hashes, verify }),
      );
      const principal = caller !== undefined && right ? principalOf(caller) : undefined;
      if (caller !== undefined && principal !== undefined) {
        good.set(caller.key, { digest, secretHash: caller.secretHash });
        await wasRight?.();
      } else if (known === asked) {
        remember(bad, digest);
      }
      return principal ?? null;
    } finally {
      underWay.delete(digest);
    }
  }

  return {
    authenticate: async (authorization, asking) => {
      if (authorization === undefined || authorization.length > LONGEST) return null;
      const claimed = parseAuthorization(authorization);
      if (claimed === null) return null;
      // A name has no colon.
      const digest = hash('sha256', `${digestKey}${claimed.name}:${claimed.secret}`, 'base64');
      const remembered = rememberedOf(claimed, digest);
      if (remembered !== undefined) return remembered;
      const pending = underWay.get(digest) ?? checkAndRemember(digest, claimed, asking);
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
      for (const key of good.keys()) if (known.get(key) === undefined) good.delete(key);
      return [...new Set(people.map(({ name }) => name).filter((name) => names.has(name)))];
    },
  };
}

/** The secret of a caller that was right, and by which hash. */
interface Right extends Pick<KnownCaller, 'secretHash'> {
  readonly digest: string;
}

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

/** Null for all but one spelling of a name and a secret in each scheme, but for spaces between (RFC 9110 §11.4). */
function parseAuthorization(field: string): Claimed | null {
  const [, scheme, value] = /^(basic|bearer) +([\w.~+/=-]+)$/i.exec(field) ?? [];
  if (scheme === undefined || value === undefined) return null;
  const basic = scheme.toLowerCase() === 'basic';
  const text = basic ? decodedBasic(value) : value;
  const at = text?.indexOf(basic ? ':' : '.') ?? -1;
  // RFC 7617 §2 forbids them; and to the hash, a secret and the same with NULs at its end are one (RFC 2104 §2).
  if (text === null || at < 1 || /\p{Cc}/u.test(text)) return null;
  // As it is hashed: else each way to write an accent would be another secret.
  return { name: text.slice(0, at), secret: text.slice(at + 1).normalize('NFC') };
}

/** The text of canonical Base64 (RFC 4648 §3.5) of UTF-8; null for any other. */
function decodedBasic(value: string): string | null {
  const bytes = Buffer.from(value, 'base64');
  return bytes.toString('base64') === value && isUtf8(bytes) ? bytes.toString('utf8') : null;
}

function remember(memory: Set<string>, digest: string): void {
  memory.add(digest);
  if (memory.size <= REMEMBERED) return;
  for (const oldest of memory) {
    memory.delete(oldest);
    return;
  }
}
