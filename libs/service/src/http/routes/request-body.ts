import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BytesIn, PlatformError } from '@morpheo/common';

/** True while bytes of the request's body may still be on their way. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  const announced =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  return announced && !request.readableEnded;
}

/**
 * Tells a client that waits for it (`Expect: 100-continue`, RFC 9110 §10.1.1) to send its body. Called when somebody
 * is about to read, so that a refused upload is never sent.
 */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  const waits = /^100-continue$/i.test(request.headers.expect ?? '');
  if (waits && !response.headersSent && request.readableDidRead === false) response.writeContinue();
}

/**
 * Reads a whole body of at most `limit` bytes within `ms` milliseconds. Throws `too_large` as soon as more is
 * announced or has come, `timed_out` when it takes longer, `cancelled` when the client cuts.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  { limit, ms }: { readonly limit: number; readonly ms: number },
): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  // Who is gone already is not heard going.
  if (request.destroyed) throw cut(0);
  askForBody(request, response);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => settle(() => reject(tooSlow(ms))), ms);
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) settle(() => reject(tooLarge(limit)));
      else chunks.push(chunk);
    };
    const onEnd = () =>
      settle(() => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    const onCut = () => settle(() => reject(cut(size)));
    function settle(act: () => void): void {
      clearTimeout(timer);
      request.pause();
      request.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut);
      act();
    }
    request.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut);
  });
}

/**
 * The body of a request as it comes: never held, read as fast as it is consumed. Iterating throws `cancelled` when
 * the client cuts, and `timed_out` when it is silent for `idleMs` milliseconds while somebody waits for its bytes.
 */
export function streamBody(request: IncomingMessage, response: ServerResponse, idleMs: number): BytesIn {
  const length = request.headers['content-length'];
  const digest = request.headers['content-digest'];
  return {
    body: iterate(request, response, idleMs),
    release: detach,
    contentType: request.headers['content-type'],
    contentLength: length === undefined ? undefined : Number(length),
    contentDigest: Array.isArray(digest) ? digest.join(', ') : digest,
  };
}

/** Detaches the memory of a piece that has it for itself; one that shares it is left to the collector. */
function detach({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

async function* iterate(
  request: IncomingMessage,
  response: ServerResponse,
  idleMs: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  askForBody(request, response);
  const arrivals = watch(request);
  let size = 0;
  try {
    for (;;) {
      // Read by hand: a stream that is iterated is destroyed with its connection when the reader stops early.
      const chunk: Buffer | null = request.read();
      if (chunk !== null) {
        size += chunk.length;
        yield chunk;
      } else if (request.readableEnded) return;
      else if (request.destroyed) throw cut(size);
      else if (!(await arrivals.next(idleMs))) throw tooSlow(idleMs);
    }
  } finally {
    arrivals.stop();
  }
}

const ARRIVALS = ['readable', 'end', 'close', 'error'] as const;

/** `next` resolves to true when something happens to the request, to false after `ms` milliseconds of nothing. */
function watch(request: IncomingMessage) {
  let wake: (() => void) | undefined;
  const notice = () => wake?.();
  for (const event of ARRIVALS) request.on(event, notice);
  return {
    next: (ms: number) =>
      new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), ms);
        wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
      }),
    stop: () => {
      for (const event of ARRIVALS) request.off(event, notice);
    },
  };
}

function tooLarge(limit: number): PlatformError {
  return new PlatformError('too_large', `The body is over the limit of ${limit} bytes.`, {
    details: { limit },
  });
}

function tooSlow(ms: number): PlatformError {
  return new PlatformError('timed_out', `The body did not arrive: nothing came for ${ms} ms.`);
}

function cut(size: number): PlatformError {
  return new PlatformError('cancelled', `The connection was cut after ${size} bytes of the body.`);
}
