import { unescape as decode } from 'node:querystring';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { CallOptions, Calls } from './calls.ts';
import { s3Error, statusOf } from './errors.ts';

/** XML cannot have all characters that a key may have. */
const EncodingType = 'url';

/** What S3 says of an object; the time is by our clock. */
export interface ObjectFacts {
  readonly size: number;
  readonly storedAt: Date;
  /** What changes whenever its bytes do. */
  readonly etag: string;
}

/** What is known of an object, or null where there is none. */
export async function statObject(calls: Calls, key: string): Promise<ObjectFacts | null> {
  try {
    const { ContentLength, LastModified, ETag } = await calls.raw((s3, how) =>
      s3.send(new HeadObjectCommand({ Bucket: calls.bucket, Key: key }), how),
    );
    return { size: ContentLength ?? 0, storedAt: byOurClock(calls, LastModified), etag: ETag ?? '' };
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw s3Error(error, calls.location);
  }
}

/** The objects below a prefix in the order of their names, which are given without the prefix; a page at a time. */
export async function* listObjects(
  calls: Calls,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<ObjectFacts & { readonly name: string }> {
  let next: string | undefined;
  do {
    const request = { Bucket: calls.bucket, Prefix: prefix, ContinuationToken: next, EncodingType } as const;
    const page = await calls.run((s3, how) => s3.send(new ListObjectsV2Command(request), how), { signal });
    for (const { Key = '', Size: size = 0, LastModified, ETag: etag = '' } of page.Contents ?? []) {
      // Servers may not know the encoding.
      const key = page.EncodingType === EncodingType ? decode(Key.replaceAll('+', ' ')) : Key;
      yield { name: key.slice(prefix.length), size, storedAt: byOurClock(calls, LastModified), etag };
    }
    next = page.NextContinuationToken;
  } while (next !== undefined);
}

/** How a small object is put. */
export interface PutOptions extends CallOptions {
  /** Is compared by the server, where it knows such sums. */
  readonly sha256?: string | undefined;
  /** Put only where nothing is there, or only in place of the object with this ETag. */
  readonly only?: 'new' | { readonly etag: string } | undefined;
}

/** Writes a small object in one call. Rejects with `precondition_failed` where `only` does not hold. */
export async function putObject(
  calls: Calls,
  key: string,
  bytes: Uint8Array,
  { sha256, only, ...call }: PutOptions = {},
): Promise<void> {
  const sum = sha256 !== undefined && calls.checksums ? { ChecksumSHA256: base64(sha256) } : {};
  const object = {
    Bucket: calls.bucket,
    Key: key,
    Body: bytes,
    ContentType: 'application/octet-stream',
    ...calls.encryption,
    ...sum,
    ...(only === undefined ? {} : only === 'new' ? { IfNoneMatch: '*' } : { IfMatch: only.etag }),
  };
  await calls.run((s3, how) => s3.send(new PutObjectCommand(object), how), {
    ...call,
    bytes: bytes.byteLength,
  });
}

/** Removes an object; one that is not there is harmless. */
export async function deleteObject(calls: Calls, key: string): Promise<void> {
  // Once: a call that was given up may yet be carried out, and must not meet what is put after it.
  await calls.run((s3, how) => s3.send(new DeleteObjectCommand({ Bucket: calls.bucket, Key: key }), how), {
    once: true,
  });
}

function byOurClock(calls: Calls, time: Date | undefined): Date {
  return new Date((time?.getTime() ?? 0) - calls.clockAheadMs());
}

function base64(hexadecimal: string): string {
  return Buffer.from(hexadecimal, 'hex').toString('base64');
}
