import { IncomingMessage } from 'node:http';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { PlatformError } from '@morpheo/common';
import type { Calls } from './calls.ts';
import { type BucketLocation, nameOf, s3Error, statusOf } from './errors.ts';

/** How much a reader without memory of its own is given at once. */
const PIECE_BYTES = 64 * 1024;

/** What is read of an object. */
export interface ReadOptions {
  /** What errors call it, such as `blob 12ab`. */
  readonly what: string;
  /** A part of it: both ends inclusive, in bytes, and inside of it. */
  readonly range?: { readonly start: number; readonly end: number } | undefined;
  /** The ETag that it must have. */
  readonly etag?: string | undefined;
  /** Ends the wait for the answer; whoever reads cancels the stream. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens an object and streams it, or a part of it, as fast as it is read. Rejects with `not_found` where it is not
 * there, with `precondition_failed` where it has another ETag, with `internal` where it is shorter than `range` says.
 * The stream fails with `unavailable` where the connection breaks, or is silent while somebody waits for bytes.
 */
export async function readObject(
  calls: Calls,
  key: string,
  options: ReadOptions,
): Promise<ReadableStream<Uint8Array>> {
  const { range, what, etag } = options;
  const { Body: body, ContentLength: length = 0, ETag: found } = await open(calls, key, options);
  if (!(body instanceof IncomingMessage)) throw new TypeError('an answer to GET has a body');
  // Servers may not know the condition.
  if (etag !== undefined && found !== etag) {
    body.destroy();
    throw changed(what);
  }
  if (range !== undefined && length !== range.end - range.start + 1) {
    body.destroy();
    throw damaged(what, `only ${length} bytes are left of the ${range.end - range.start + 1} asked for`);
  }
  return streamOf(calls, new BodyReader(body));
}

async function open(calls: Calls, key: string, { what, range, etag, signal }: ReadOptions) {
  const part = range === undefined ? undefined : `bytes=${range.start}-${range.end}`;
  const request = { Bucket: calls.bucket, Key: key, Range: part, IfMatch: etag };
  try {
    const call = { streams: true, signal };
    return await calls.raw((s3, how) => s3.send(new GetObjectCommand(request), how), call);
  } catch (error) {
    const status = statusOf(error);
    if (status === 404 && nameOf(error) !== 'NoSuchBucket')
      throw new PlatformError('not_found', `There is no ${what}.`, { cause: error });
    if (status === 412) throw changed(what, error);
    if (status === 416) throw damaged(what, `nothing of it lies in ${part}`, error);
    throw s3Error(error, calls.location);
  }
}

/**
 * The first bytes of a small object, at most `most`, and its ETag. Null where there is none.
 */
export async function readStart(
  calls: Calls,
  key: string,
  most: number,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | null> {
  const request = { Bucket: calls.bucket, Key: key, Range: `bytes=0-${most - 1}` };
  try {
    const { Body: body, ETag: etag = '' } = await calls.raw(
      (s3, how) => s3.send(new GetObjectCommand(request), how),
      { signal, bytes: most },
    );
    return { bytes: (await body?.transformToByteArray()) ?? new Uint8Array(), etag };
  } catch (error) {
    signal?.throwIfAborted();
    if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return null;
    // Of nothing there is no first byte.
    if (statusOf(error) === 416) return { bytes: new Uint8Array(), etag: '' };
    throw s3Error(error, calls.location);
  }
}

function streamOf({ tuning, location }: Calls, body: BodyReader): ReadableStream<Uint8Array> {
  let piece: Uint8Array = new Uint8Array();
  let at = 0;
  return new ReadableStream({
    // A reader may bring memory of its own, and use it again and again.
    type: 'bytes',
    autoAllocateChunkSize: PIECE_BYTES,
    async pull(controller) {
      const request = controller.byobRequest;
      if (!(request?.view instanceof Uint8Array))
        throw new TypeError('a stream that allocates has a request');
      try {
        while (at === piece.byteLength) {
          const next = await body.next(tuning.silenceMs, () => silent(location, tuning.silenceMs));
          if (next === null) {
            controller.close();
            request.respond(0);
            return;
          }
          piece = next;
          at = 0;
        }
      } catch (error) {
        body.cancel();
        throw s3Error(error, location);
      }
      const part = piece.subarray(at, at + request.view.byteLength);
      request.view.set(part);
      at += part.byteLength;
      const taken = part.byteLength;
      if (at === piece.byteLength) {
        body.release(piece);
        piece = new Uint8Array();
        at = 0;
      }
      request.respond(taken);
    },
    cancel: () => body.cancel(),
  });
}

function silent({ endpoint, words }: BucketLocation, ms: number): PlatformError {
  return new PlatformError(
    'unavailable',
    `${words.subject} at ${endpoint} fell silent for ${ms} ms in the middle of a download.`,
  );
}

function damaged(what: string, how: string, cause?: unknown): PlatformError {
  return new PlatformError('internal', `The object of ${what} was damaged: ${how}.`, { cause });
}

function changed(what: string, cause?: unknown): PlatformError {
  return new PlatformError('precondition_failed', `The ${what} changed while it was read.`, { cause });
}

/** Reads the body of an answer piece by piece, in the memory that it came in. */
class BodyReader {
  readonly #body: IncomingMessage;
  readonly #arrived: Buffer[] = [];
  #end: 'open' | 'whole' | { readonly error: unknown } = 'open';
  #wake: () => void = () => {};

  constructor(body: IncomingMessage) {
    this.#body = body;
    // In its own time a stream would put several pieces into one, a copy more.
    body.on('data', (piece: Buffer) => {
      body.pause();
      this.#arrived.push(piece);
      this.#wake();
    });
    body.once('end', () => this.#close('whole'));
    body.once('error', (error) => this.#close({ error }));
    body.once('close', () => this.#close({ error: cut() }));
    body.pause();
    // What the connection has read is copied into pieces before this listener, the last one, hears of it.
    const { socket } = body;
    socket.on('data', release);
    body.once('close', () => socket.off('data', release));
  }

  /** The next piece, or null at the end. Throws what the connection broke with, and `silence` after `ms` of nothing. */
  async next(ms: number, silence: () => PlatformError): Promise<Uint8Array | null> {
    const piece = this.#arrived.shift();
    if (piece !== undefined) return piece;
    if (this.#end === 'whole') return null;
    if (this.#end !== 'open') throw this.#end.error;
    await this.#something(ms, silence);
    return await this.next(ms, silence);
  }

  /** Gives back the memory of a piece that nobody reads any more. */
  release(piece: Uint8Array): void {
    release(piece);
  }

  /** Stops reading, and closes the connection. */
  cancel(): void {
    this.#body.destroy();
  }

  #close(end: 'whole' | { readonly error: unknown }): void {
    if (this.#end === 'open') this.#end = end;
    this.#wake();
  }

  #something(ms: number, silence: () => PlatformError): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(silence()), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#body.resume();
    });
  }
}

/** Gives memory back at once that somebody has for himself: else it piles up until the collector comes round. */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function cut(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
}
