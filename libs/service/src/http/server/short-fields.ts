import type { IncomingMessage } from 'node:http';
import { PlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import type { State } from '../answers/context.ts';
import { clientOf } from '../rates/client-address.ts';
import type { RateGuard } from '../rates/guard.ts';

/**
 * The most characters of each header field that anything here reads, by lower-case name: several times what clients
 * send. All header fields of a request together have at most 16 KiB (Node's `--max-http-header-size`), and a parser of
 * some library may take the square of a length.
 */
const LONGEST = Object.entries({
  accept: 2000,
  'access-control-request-headers': 2000,
  'access-control-request-method': 100,
  authorization: 4096,
  'content-digest': 1000,
  'content-encoding': 100,
  'content-length': 100,
  'content-type': 1000,
  expect: 100,
  host: 300,
  'if-match': 2000,
  'if-none-match': 2000,
  'if-range': 200,
  'last-event-id': 100,
  origin: 300,
  prefer: 200,
  range: 200,
  'sec-fetch-site': 100,
  'transfer-encoding': 100,
  'tus-resumable': 100,
  'upload-checksum': 200,
  'upload-length': 100,
  'upload-metadata': 8000,
  'upload-offset': 100,
  'x-http-method-override': 100,
});

/** Throws `invalid_request` where a header field that is read here is longer than any client has reason to send. */
export function requireShortFields({ headers }: Pick<IncomingMessage, 'headers'>): void {
  for (const [name, most] of LONGEST) {
    const length = headers[name]?.length ?? 0;
    if (length > most) {
      throw new PlatformError(
        'invalid_request',
        `The header field ${name} has ${length} characters: at most ${most} are read.`,
      );
    }
  }
}

/** {@link requireShortFields} before anything is read of a request; a refusal counts for the address that asked. */
export function shortFields(guard: RateGuard): Middleware<State> {
  return async (ctx, next) => {
    try {
      requireShortFields(ctx.req);
    } catch (error) {
      await guard.ofAddress(clientOf(ctx.req.socket.remoteAddress));
      throw error;
    }
    return await next();
  };
}
