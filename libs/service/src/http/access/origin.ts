import type { IncomingHttpHeaders } from 'node:http';
import { PlatformError } from '@morpheo/common';

/**
 * How far the page that makes a request is trusted: `own`: no page, or one of this service; `named`: its origin is
 * listed; `any`: the list holds `*`; `foreign`: any other.
 */
export type Trust = 'own' | 'named' | 'any' | 'foreign';

/** A request, as far as it matters to whether a page may make it. */
export interface PageRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** What a page can post to another site without asking it first (Fetch §2.2.2, "CORS-safelisted request-header"). */
const ASKED_NOTHING = /^(?:$|text\/plain|multipart\/form-data|application\/x-www-form-urlencoded)/i;

/**
 * Judges the page behind a request by `Origin`; of a change without one by `Sec-Fetch-Site`. What a page reads without
 * an origin (a link, an image) it does not get to see.
 */
export function trustOf({ method, headers }: PageRequest, origins: readonly string[]): Trust {
  const { origin } = headers;
  if (origin === undefined) {
    return headers['sec-fetch-site'] === 'cross-site' && !SAFE.has(method) ? unlisted(origins) : 'own';
  }
  if (origins.includes(origin)) return 'named';
  const host = URL.canParse(origin) ? new URL(origin).host : '';
  return host !== '' && host === headers.host?.toLowerCase() ? 'own' : unlisted(origins);
}

function unlisted(origins: readonly string[]): Trust {
  return origins.includes('*') ? 'any' : 'foreign';
}

/**
 * Refuses, with `forbidden`, what a page of another site makes a browser do without credentials of its own: to change
 * something where nobody is asked for credentials (`named` origins may), or to read where none are asked for at all.
 */
export function refuseAnonymousPage(request: PageRequest, trust: Trust): void {
  const allowed = trust === 'own' || trust === 'named' || (trust === 'any' && SAFE.has(request.method));
  if (!allowed) throw refusal(request, 'without credentials');
}

/**
 * Refuses, with `forbidden`, a change that a page of a foreign origin may have made with credentials that the browser
 * added by itself: `Basic` ones, in a request that needs no leave of this service beforehand (CORS preflight).
 */
export function refuseBorrowedCredentials(request: PageRequest, trust: Trust): void {
  if (trust !== 'foreign' || SAFE.has(request.method)) return;
  const simple = request.method === 'POST' && ASKED_NOTHING.test(request.headers['content-type'] ?? '');
  const ambient = /^basic /i.test(request.headers.authorization ?? '');
  if (simple && ambient) throw refusal(request, 'with Basic credentials');
}

function refusal({ headers }: PageRequest, how: string): PlatformError {
  return new PlatformError(
    'forbidden',
    `Pages of ${headers.origin ?? 'other sites'} may not call this service ${how}. ` +
      'Use a Bearer token, or list the origin in the configuration of the service.',
  );
}
