import type { IncomingHttpHeaders } from 'node:http';
import { type Endpoint, PlatformError, type Principal } from '@morpheo/common';
import type { Asking, Authenticate } from './credentials.ts';
import { type PageRequest, refuseAnonymousPage, refuseBorrowedCredentials, trustOf } from './origin.ts';
import type { VerifyTicket } from './tickets.ts';

/**
 * Finds out who calls a route of the originals from its headers, in the originals' own way. Throws what they answer to
 * whom they do not let in.
 */
export type AdmitClassic = (headers: IncomingHttpHeaders, asking?: Asking) => Promise<Principal>;

/** Who may call, as a service is configured. */
export interface AccessRules {
  /** Null: nobody is asked for credentials. */
  readonly authenticate: Authenticate | null;
  /** Knows callers by their tickets, also where nobody is asked for credentials; nobody where absent. */
  readonly tickets?: VerifyTicket | undefined;
  /** Lets callers into the routes of the originals that are not public; as into all others where absent. */
  readonly admitClassic?: AdmitClassic | undefined;
  readonly anonymousIntake: boolean;
  /** The origins whose pages are trusted; see `ServeOptions.origins`. */
  readonly origins: readonly string[];
}

/** Who calls where nobody is asked for credentials: may do everything. */
const ANYBODY: Principal = { name: 'anybody', roles: ['admin'] };

/**
 * Lets a call to a route pass, or throws `unauthenticated` or `forbidden`. Returns who calls; undefined on routes that
 * ask nobody. On the open intake, credentials that are there and wrong are refused all the same. `asking` is who
 * calls, as far as that is known, and may refuse to look at a secret that is not known yet.
 */
export async function admit(
  endpoint: Endpoint,
  request: PageRequest,
  rules: AccessRules,
  asking?: Asking,
): Promise<Principal | undefined> {
  const { access } = endpoint;
  if (access === 'public') return undefined;
  if (endpoint.classic === true && rules.admitClassic !== undefined) {
    const caller = await rules.admitClassic(request.headers, asking);
    requireRole(endpoint, caller);
    return caller;
  }
  const { authorization } = request.headers;
  const attempt = await rules.tickets?.(authorization);
  if (attempt !== undefined) {
    requireRole(endpoint, attempt);
    return attempt;
  }
  const trust = trustOf(request, rules.origins);
  const open = rules.authenticate === null;
  if (open || (access === 'intake' && rules.anonymousIntake && authorization === undefined)) {
    refuseAnonymousPage(request, trust);
    return open ? ANYBODY : undefined;
  }
  const principal = (await rules.authenticate?.(authorization, asking)) ?? null;
  if (principal === null) {
    const what =
      authorization === undefined ? 'This needs credentials' : 'These credentials are not known here';
    throw new PlatformError('unauthenticated', `${what}: send Basic or Bearer ones.`);
  }
  refuseBorrowedCredentials(request, trust);
  requireRole(endpoint, principal);
  return principal;
}

function requireRole({ access }: Endpoint, { name, roles }: Principal): void {
  const wanted = Array.isArray(access) ? access : ['orchestrator'];
  if (roles.includes('admin') || wanted.some((role) => roles.includes(role))) return;
  const message = `${name} may not do this: it takes the role ${wanted.join(' or ')}.`;
  throw new PlatformError('forbidden', message, { details: { roles: wanted } });
}
