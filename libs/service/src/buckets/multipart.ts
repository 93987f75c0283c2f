import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { PlatformError } from '@morpheo/common';
import type { Calls } from './calls.ts';
import { nameOf } from './errors.ts';
import { statObject } from './objects.ts';

/** The most parts that an upload may have (S3). */
export const MOST_PARTS = 10_000;
const MIB = 1024 ** 2;
/** A server puts the parts together, which takes longer than other answers. */
const COMPLETE_BYTES = 64 * MIB;

/** The id of an upload in parts that was begun for `key`. */
export async function beginUpload(calls: Calls, key: string, signal?: AbortSignal): Promise<string> {
  const request = {
    Bucket: calls.bucket,
    Key: key,
    ContentType: 'application/octet-stream',
    ...calls.encryption,
    ...(calls.checksums ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
  };
  const { UploadId } = await calls.run((s3, how) => s3.send(new CreateMultipartUploadCommand(request), how), {
    signal,
  });
  if (UploadId !== undefined) return UploadId;
  throw new PlatformError(
    'internal',
    `${calls.location.words.subject} at ${calls.location.endpoint} began an upload without an id.`,
  );
}

/** Parts so large that the most of them suffice for `most` bytes, in whole MiB; at least `partBytes`. */
export function partBytesFor(most: number, partBytes: number): number {
  return Math.max(partBytes, Math.ceil(most / MOST_PARTS / MIB) * MIB);
}

/** How many bytes an upload in parts holds on the server; null where it has ended. */
export async function uploadedBytes(calls: Calls, key: string, id: string): Promise<number | null> {
  let bytes = 0;
  let marker: string | undefined;
  do {
    const request = { Bucket: calls.bucket, Key: key, UploadId: id, PartNumberMarker: marker };
    try {
      const page = await calls.raw((s3, how) => s3.send(new ListPartsCommand(request), how));
      for (const { Size = 0 } of page.Parts ?? []) bytes += Size;
      marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    } catch (error) {
      if (nameOf(error) === 'NoSuchUpload') return null;
      throw error;
    }
  } while (marker !== undefined);
  return bytes;
}

/** Ends an upload in parts and frees what it holds; one that has ended is harmless. */
export async function abortUpload(calls: Calls, key: string, id: string): Promise<void> {
  const request = { Bucket: calls.bucket, Key: key, UploadId: id };
  try {
    await calls.run((s3, how) => s3.send(new AbortMultipartUploadCommand(request), how), { once: true });
  } catch (error) {
    if (!isNoSuchUpload(error)) throw error;
  }
}

/**
 * Makes an object of the parts of an upload. Where the answer got lost, whether the object is there in full decides:
 * the call may have been carried out before it was tried again.
 */
export async function completeUpload(
  calls: Calls,
  { key, id, size }: { readonly key: string; readonly id: string; readonly size: number },
  parts: readonly CompletedPart[],
): Promise<void> {
  const Parts = parts.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
  const request = { Bucket: calls.bucket, Key: key, UploadId: id, MultipartUpload: { Parts } };
  try {
    await calls.run((s3, how) => s3.send(new CompleteMultipartUploadCommand(request), how), {
      bytes: COMPLETE_BYTES,
    });
  } catch (error) {
    if (isNoSuchUpload(error) && (await statObject(calls, key))?.size === size) return;
    throw error;
  }
}

function isNoSuchUpload(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && error.cause.name === 'NoSuchUpload';
}

/** Sends the parts of one upload, a few at once, each checked by the server. */
export class PartSender implements AsyncDisposable {
  readonly #calls: Calls;
  readonly #upload: { readonly key: string; readonly id: string };
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #flying = new Set<Promise<void>>();
  readonly #sent: CompletedPart[] = [];
  #count = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(calls: Calls, upload: { readonly key: string; readonly id: string }, signal?: AbortSignal) {
    this.#calls = calls;
    this.#upload = upload;
    this.#signal = AbortSignal.any([this.#stop.signal, ...(signal === undefined ? [] : [signal])]);
  }

  /**
   * Sends a part; resolves when it is on its way, and there is room for one more. `sent` is called when the bytes are
   * not needed any more. Throws what an earlier part failed with.
   */
  async send(bytes: Uint8Array, sent: () => void): Promise<void> {
    this.#throwFailure();
    const number = ++this.#count;
    if (number > MOST_PARTS) throw tooManyParts();
    const flight = this.#fly(number, bytes).then(
      () => sent(),
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    this.#flying.add(flight);
    void flight.finally(() => this.#flying.delete(flight));
    while (this.#flying.size >= this.#calls.tuning.partsAtOnce) await Promise.race(this.#flying);
    this.#throwFailure();
  }

  /** The parts, when all have arrived. */
  async arrived(): Promise<readonly CompletedPart[]> {
    await Promise.all(this.#flying);
    this.#throwFailure();
    return this.#sent;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #fly(number: number, bytes: Uint8Array): Promise<void> {
    const { bucket, checksums } = this.#calls;
    const sum = checksums ? { ChecksumCRC32: crc32Of(bytes) } : {};
    const request = {
      ...{ Bucket: bucket, Key: this.#upload.key, UploadId: this.#upload.id },
      ...{ PartNumber: number, Body: bytes, ...sum },
    };
    const { ETag } = await this.#calls.run((s3, how) => s3.send(new UploadPartCommand(request), how), {
      bytes: bytes.byteLength,
      signal: this.#signal,
    });
    this.#sent.push({ PartNumber: number, ETag, ...sum });
  }

  /** Stops what is on its way, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the upload was given up'));
    await Promise.all(this.#flying);
  }
}

/** The CRC-32 of bytes as S3 takes it: its four bytes in Base64. */
function crc32Of(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString('base64');
}

function tooManyParts(): PlatformError {
  return new PlatformError(
    'too_large',
    `The object has more than ${MOST_PARTS} parts: send its size first, or set a limit, so that they are made larger.`,
  );
}
