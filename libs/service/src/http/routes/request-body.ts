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
 * The body of a request as it comes: never held, read as fast as it is consumed. A piece is good until the next one is
 * asked for. Iterating throws `cancelled` when the client cuts, and `timed_out` when it is silent for `idleMs`
 * milliseconds while somebody waits for its bytes.
 */
export function streamBody(request: IncomingMessage, response: ServerResponse, idleMs: number): BytesIn {
  const length = request.headers['content-length'];
  const digest = request.headers['content-digest'];
  return {
    body: iterate(request, response, idleMs),
    contentType: request.headers['content-type'],
    contentLength: length === undefined ? undefined : Number(length),
    contentDigest: Array.isArray(digest) ? digest.join(', ') : digest,
  };
}

async function* iterate(
  request: IncomingMessage,
  response: ServerResponse,
  idleMs: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  askForBody(request, response);
  const arrivals = new Arrivals(request);
  let size = 0;
  try {
    for (;;) {
      const piece = await arrivals.next(idleMs);
      if (piece !== null) {
        size += piece.byteLength;
        yield piece;
      } else if (request.readableEnded) return;
      else if (request.destroyed) throw cut(size);
      else throw tooSlow(idleMs);
    }
  } finally {
    arrivals.stop();
  }
}

/** A piece is handed on when so much has come, or nothing more is there: each costs its reader a few turns. */
const PIECE_BYTES = 512 * 1024;
const ENDS = ['end', 'close', 'error'] as const;

/** Gathers what a connection brings while nobody waits for anything else: one piece of many reads. */
class Arrivals {
  readonly #request: IncomingMessage;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  /** What pieces of several chunks are put together in, again and again. */
  #memory: Buffer | undefined;
  #piece: Uint8Array | undefined;
  #wake: () => void = () => {};
  #turn: NodeJS.Immediate | undefined;

  constructor(request: IncomingMessage) {
    this.#request = request;
    request.on('data', this.#take);
    request.pause();
    for (const event of ENDS) request.on(event, this.#notice);
  }

  readonly #notice = () => this.#wake();

  readonly #take = (chunk: Buffer) => {
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#size >= PIECE_BYTES) this.#wake();
    // Behind all that is read in this turn of the event loop.
    else this.#turn ??= setImmediate(this.#notice);
  };

  /** The next piece, good until this is called again; null after `ms` milliseconds of nothing, or where no more comes. */
  async next(ms: number): Promise<Uint8Array | null> {
    if (this.#piece !== undefined && this.#piece.buffer !== this.#memory?.buffer) detach(this.#piece);
    this.#piece = undefined;
    if (this.#chunks.length === 0 && !this.#request.readableEnded && !this.#request.destroyed)
      await this.#something(ms);
    if (this.#chunks.length === 0 && this.#request.destroyed) this.#takeRest();
    this.#piece = this.#join();
    return this.#piece ?? null;
  }

  /** Reads no further, and leaves the rest to others. */
  stop(): void {
    this.#request.pause();
    clearImmediate(this.#turn);
    this.#request.off('data', this.#take);
    for (const event of ENDS) this.#request.off(event, this.#notice);
  }

  /** Of a connection that was cut, what had come and was not handed out yet. */
  #takeRest(): void {
    const rest: Buffer | null = this.#request.read();
    // Until it has told its end, the stream hands it to the listener as well.
    if (rest !== null && this.#chunks.length === 0) this.#take(rest);
    clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  #something(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(this.#notice, ms);
      this.#wake = () => {
        this.#wake = () => {};
        clearTimeout(timer);
        clearImmediate(this.#turn);
        this.#turn = undefined;
        this.#request.pause();
        resolve();
      };
      this.#request.resume();
    });
  }

  #join(): Uint8Array | undefined {
    if (this.#chunks.length < 2) {
      this.#size = 0;
      return this.#chunks.pop();
    }
    if (this.#size > (this.#memory?.byteLength ?? 0))
      this.#memory = Buffer.allocUnsafeSlow(roomFor(this.#size));
    const memory = this.#memory ?? Buffer.alloc(0);
    let at = 0;
    for (const chunk of this.#chunks.splice(0)) {
      memory.set(chunk, at);
      at += chunk.byteLength;
      detach(chunk);
    }
    this.#size = 0;
    return memory.subarray(0, at);
  }
}

/** A power of two, so that memory is taken a few times and then used again. */
function roomFor(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}

/**
 * Gives memory back at once that a piece has for itself: else it piles up until the collector comes round. What shares
 * its memory is left to that.
 */
function detach({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
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
