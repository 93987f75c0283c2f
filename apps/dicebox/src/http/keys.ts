import { createHash, timingSafeEqual } from 'node:crypto';
import { type CredentialRole, type DiceboxDialect, PlatformError, type Principal } from '@morpheo/common';
import type { Secret } from '@morpheo/service/config';
import type { AdmitClassic, Authenticate } from '@morpheo/service/http';

/** What a caller with the key of the deployment may do. */
export const KEY_ROLES: readonly CredentialRole[] = ['uploader', 'reader', 'orchestrator'];

/** The key of the deployment, and whose it is. */
export interface ApiKey {
  readonly name: string;
  readonly key: Secret;
}

/** What decides who may call the routes of the originals. */
export interface KeyRules {
  readonly dialect: DiceboxDialect;
  /** The versions that may be asked for. */
  readonly versions: ReadonlyMap<string, DiceboxDialect>;
  readonly apiKey?: ApiKey | undefined;
  /** Knows the callers of the credentials file, whose keys are `name.secret`; null: every key is good. */
  readonly authenticate: Authenticate | null;
}

/** Who calls where any key is good. */
const ANYBODY: Principal = { name: 'anybody', roles: ['admin'] };

/**
 * Lets in who has a key, and asks for a version that is spoken, in this order, as the originals do: a field that is not
 * there is `invalid_request`, a wrong key `unauthenticated` in the dialect of 2017 and `forbidden` in that of 2019, and a
 * version that is not spoken `invalid_request`.
 */
export function keyAdmission({ dialect, versions, apiKey, authenticate }: KeyRules): AdmitClassic {
  return async (headers, asking) => {
    const key = fieldOf(headers, 'API-ACCESS-KEY');
    const caller =
      apiKey !== undefined && isSame(key, apiKey.key.reveal())
        ? { name: apiKey.name, roles: KEY_ROLES }
        : authenticate === null
          ? ANYBODY
          : await authenticate(`Bearer ${key}`, asking);
    if (caller === null) {
      const code = dialect === '2017' ? 'unauthenticated' : 'forbidden';
      throw new PlatformError(code, 'The key in API-ACCESS-KEY is not known here.');
    }
    const version = fieldOf(headers, 'API-VERSION');
    if (!versions.has(version)) {
      const spoken = [...versions.keys()].join(', ');
      throw new PlatformError(
        'invalid_request',
        `This version is not spoken here: set API-VERSION to one of ${spoken}.`,
      );
    }
    return caller;
  };
}

/**
 * Knows callers of our own routes: as `authenticate` does, and who sends the key of the deployment as a Bearer token. Who
 * has the one key needs nothing else for both kinds of routes.
 */
export function withKey(authenticate: Authenticate | null, apiKey: ApiKey | undefined): Authenticate | null {
  if (authenticate === null || apiKey === undefined) return authenticate;
  return async (authorization, asking) => {
    const token = /^bearer +(.+)$/i.exec(authorization ?? '')?.[1];
    if (token !== undefined && isSame(token, apiKey.key.reveal()))
      return { name: apiKey.name, roles: KEY_ROLES };
    return await authenticate(authorization, asking);
  };
}

function fieldOf(headers: Readonly<NodeJS.Dict<string | string[]>>, name: string): string {
  const value = headers[name.toLowerCase()];
  if (typeof value === 'string') return value;
  throw new PlatformError('invalid_request', `The field ${name} is missing.`);
}

/** Compares in a time that tells nothing of where two texts differ. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
