import { IncomingMessage } from 'node:http';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { PlatformError } from '@morpheo/common';
import type { ByteRange } from '../blob-store.ts';
import { BodyReader } from './body-reader.ts';
import type { Calls } from './calls.ts';
import { type S3Place, s3Error, statusOf } from './errors.ts';

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
    throw s3Error(error, calls.place);
  }
}

function streamOf({ tuning, place }: Calls, body: BodyReader): ReadableStream<Uint8Array> {
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
          const next = await body.next(tuning.silenceMs, () => silent(place, tuning.silenceMs));
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
        throw s3Error(error, place);
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

function silent({ endpoint }: S3Place, ms: number): PlatformError {
  return new PlatformError(
    'unavailable',
    `The blob store at ${endpoint} fell silent for ${ms} ms in the middle of a blob.`,
  );
}

function damaged(digest: string, what: string, cause?: unknown): PlatformError {
  return new PlatformError('internal', `The object of blob ${digest} was damaged: ${what}.`, { cause });
}
