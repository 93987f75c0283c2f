import type { IncomingMessage } from 'node:http';
import { PlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import type { State } from '../answers/context.ts';
import { clientOf } from '../rates/client-address.ts';
import type { RateGuard } from '../rates/guard.ts';

/** What needs no encoding (RFC 3986 §2.3), what divides a path, and what ends a text in C. */
const NEEDLESS_OR_HOSTILE = /^[\w.~\-/\\\0]$/;

/** What nearly all ask for, in which nothing can be wrong. */
const PLAINEST = /^\/[\w.~\-/]*(?:\?|$)/;

/** An address in place of a path, as clients send it to proxies (RFC 9112 §3.2.2). */
const ABSOLUTE = /^https?:\/\/(?<host>[^/?#\\\s]+)(?<rest>[/?].*)?$/i;

/**
 * Refuses a request target that has a second spelling. Routes are chosen by the path as it came and parameters are
 * decoded afterwards: were `%64ata` taken for `data` in between, a route that asks for less would answer in place of the
 * one that was meant. Throws `invalid_request` where a character is encoded that needs no encoding, where it is a slash,
 * a backslash or a NUL, where the encoding is none, where a backslash, a `#` or white space stands in the path as it
 * is, and where the target is an address that the `Host` field does not name.
 */
export function requirePlainPath({ url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>): void {
  if (PLAINEST.test(url)) return;
  const [path = ''] = originForm(url, headers.host).split('?');
  if (/[\\#\s]/.test(path)) throw notPlain('a backslash, a # or white space stands in it');
  for (const [encoded, hex] of path.matchAll(/%([\da-f]{2})?/gi)) {
    if (hex === undefined || NEEDLESS_OR_HOSTILE.test(String.fromCharCode(Number.parseInt(hex, 16)))) {
      throw notPlain(`${encoded} stands for what is written as it is, or may not stand in a path`);
    }
  }
  try {
    decodeURI(path);
  } catch (cause) {
    throw notPlain('its encoded characters are no UTF-8', cause);
  }
}

function originForm(url: string, host: string | undefined): string {
  if (url.startsWith('/') || url === '*') return url;
  const absolute = ABSOLUTE.exec(url)?.groups;
  if (absolute?.host === undefined || absolute.host.toLowerCase() !== host?.toLowerCase()) {
    throw notPlain('it is neither a path nor an address of the host that is asked');
  }
  return absolute.rest ?? '/';
}

function notPlain(reason: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_request', `The path of the request is not written plainly: ${reason}.`, {
    cause,
  });
}

/** {@link requirePlainPath} before any route is looked for; a refusal counts for the address that asked. */
export function plainPaths(guard: RateGuard): Middleware<State> {
  return async (ctx, next) => {
    try {
      requirePlainPath(ctx.req);
    } catch (error) {
      await guard.ofAddress(clientOf(ctx.req.socket.remoteAddress));
      throw error;
    }
    return await next();
  };
}
