import { IncomingMessage } from 'node:http';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { PlatformError } from '@morpheo/common';
import type { BlobLink, ByteRange } from '../blob-store.ts';
import { type Calls, clientConfig } from './calls.ts';
import { type S3Location, s3Error, statusOf } from './errors.ts';
import type { Keys } from './objects.ts';
import type { S3BlobStoreOptions, S3LinkOptions } from './options.ts';

/** How much a reader without memory of its own is given at once. */
const PIECE_BYTES = 64 * 1024;

/**
 * Opens a blob and streams it, or the part `range` of it, as fast as it is read. Rejects with `not_found` where it is
 * not there, with `internal` where it is shorter than `range` says. The stream fails with `unavailable` where the
 * connection breaks, or is silent while somebody waits for bytes.
 */
export async function readObject(
  calls: Calls,
  key: string,
  digest: string,
  range?: ByteRange,
): Promise<ReadableStream<Uint8Array>> {
  const wanted = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` };
  const request = { Bucket: calls.bucket, Key: key, ...wanted };
  const answer = await open(calls, request, digest);
  const { Body: body, ContentLength: length = 0 } = answer;
  if (!(body instanceof IncomingMessage)) throw new TypeError('an answer to GET has a body');
  if (range !== undefined && length !== range.end - range.start + 1) {
    body.destroy();
    throw damaged(digest, `only ${length} bytes are left of the ${range.end - range.start + 1} asked for`);
  }
  return streamOf(calls, new BodyReader(body));
}

async function open(calls: Calls, request: { Bucket: string; Key: string; Range?: string }, digest: string) {
  try {
    return await calls.raw((s3, how) => s3.send(new GetObjectCommand(request), how), { streams: true });
  } catch (error) {
    const status = statusOf(error);
    if (status === 404 && !(error instanceof Error && error.name === 'NoSuchBucket')) {
      throw new PlatformError('not_found', `There is no blob ${digest}.`, { cause: error });
    }
    if (status === 416) throw damaged(digest, `nothing of it lies in ${request.Range}`, error);
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

function silent({ endpoint }: S3Location, ms: number): PlatformError {
  return new PlatformError(
    'unavailable',
    `The blob store at ${endpoint} fell silent for ${ms} ms in the middle of a blob.`,
  );
}

function damaged(digest: string, what: string, cause?: unknown): PlatformError {
  return new PlatformError('internal', `The object of blob ${digest} was damaged: ${what}.`, { cause });
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

/** Makes the function that signs addresses of blobs, as those see them who download. Nothing is sent for it. */
export function linkMaker(
  calls: Calls,
  keys: Keys,
  options: S3BlobStoreOptions,
  { endpoint, seconds }: S3LinkOptions,
): (digest: string, link: BlobLink) => Promise<string> {
  const seen = endpoint === undefined ? options : { ...options, endpoint };
  const client = new S3Client(clientConfig(seen, calls.tuning));
  return async (digest, { fileName, contentType }) => {
    const command = new GetObjectCommand({
      Bucket: calls.bucket,
      Key: keys.blob(digest),
      ResponseContentType: contentType,
      ResponseContentDisposition: `attachment; filename="${fileName}"`,
      ResponseCacheControl: 'private, no-cache',
    });
    const signingDate = new Date(Date.now() + calls.clockAheadMs());
    return await getSignedUrl(client, command, { expiresIn: seconds, signingDate });
  };
}
