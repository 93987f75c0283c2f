import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { CallOptions, Calls } from './calls.ts';
import { s3Error, statusOf } from './errors.ts';

const DIGEST = /^[0-9a-f]{64}$/;

/** True for a SHA-256 in lower-case hexadecimal: nothing else names a blob. */
export function isDigest(text: string | undefined): text is string {
  return text !== undefined && DIGEST.test(text);
}

/**
 * The names of the objects of a store: `sha256/<digest>` a blob; `stored/<digest>` an empty object as old as the last
 * put of a blob that was there before; `tmp/<random>` a blob whose digest is not known yet; `tmp/<random>.upload` a
 * record of an upload in parts, by which others can end it; `intent/<digest>/<name>` what a process is about to do.
 */
export interface Keys {
  readonly blobs: string;
  readonly marks: string;
  readonly staging: string;
  readonly intents: string;
  blob(digest: string): string;
  mark(digest: string): string;
  staged(name: string): string;
  record(name: string): string;
}

/** The {@link Keys} below a prefix, whose slashes at both ends do not count. */
export function keysBelow(prefix = ''): Keys {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  const base = trimmed === '' ? '' : `${trimmed}/`;
  const [blobs, marks] = [`${base}sha256/`, `${base}stored/`];
  const [staging, intents] = [`${base}tmp/`, `${base}intent/`];
  return {
    ...{ blobs, marks, staging, intents },
    blob: (digest) => blobs + digest,
    mark: (digest) => marks + digest,
    staged: (name) => staging + name,
    record: (name) => `${staging}${name}.upload`,
  };
}

/** What S3 says of an object; the time is by our clock. */
export interface ObjectFacts {
  readonly size: number;
  readonly storedAt: Date;
}

/** What is known of an object, or null where there is none. */
export async function statObject(calls: Calls, key: string): Promise<ObjectFacts | null> {
  try {
    const { ContentLength, LastModified } = await calls.raw((s3, how) =>
      s3.send(new HeadObjectCommand({ Bucket: calls.bucket, Key: key }), how),
    );
    return { size: ContentLength ?? 0, storedAt: byOurClock(calls, LastModified) };
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw s3Error(error, calls.location);
  }
}

/** The objects below a prefix in the order of their names, which are given without the prefix. */
export async function* listObjects(
  calls: Calls,
  prefix: string,
): AsyncGenerator<ObjectFacts & { readonly name: string }> {
  let next: string | undefined;
  do {
    const request = { Bucket: calls.bucket, Prefix: prefix, ContinuationToken: next };
    const page = await calls.run((s3, how) => s3.send(new ListObjectsV2Command(request), how));
    for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
      yield { name: Key.slice(prefix.length), size: Size, storedAt: byOurClock(calls, LastModified) };
    }
    next = page.NextContinuationToken;
  } while (next !== undefined);
}

/** Writes a small object in one call; `sha256` is compared by the server, where it knows such sums. */
export async function putObject(
  calls: Calls,
  key: string,
  bytes: Uint8Array,
  { sha256, ...call }: CallOptions & { readonly sha256?: string } = {},
): Promise<void> {
  const sum = sha256 !== undefined && calls.checksums ? { ChecksumSHA256: base64(sha256) } : {};
  const object = {
    Bucket: calls.bucket,
    Key: key,
    Body: bytes,
    ContentType: 'application/octet-stream',
    ...calls.encryption,
    ...sum,
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
