import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, HeadBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { isPlatformError, PlatformError } from '@morpheo/common';
import type { Calls } from './calls.ts';
import { copyObject } from './copy.ts';
import { nameOf, s3Error, statusOf } from './errors.ts';
import { deleteObject, type Keys, putObject } from './objects.ts';
import type { S3BlobStoreOptions } from './options.ts';

/**
 * Finds out before the first upload whether the bucket is there, and whether the keys may list, write, copy and delete
 * in it. Makes the bucket where the options say so. Rejects with what is wrong and what to do.
 */
export async function checkStore(calls: Calls, keys: Keys, options: S3BlobStoreOptions): Promise<void> {
  try {
    await listOne(calls, keys);
  } catch (error) {
    if (nameOf(error) !== 'NoSuchBucket' || options.createBucket !== true)
      throw s3Error(error, calls.location);
    await createBucket(calls, options);
  }
  const probe = keys.staged(`${randomUUID()}.probe`);
  await putObject(calls, probe, new Uint8Array());
  try {
    await copyProbe(calls, probe);
  } finally {
    await deleteObject(calls, probe);
  }
}

/** Makes sure that the server copies: an upload whose digest comes last gets its name so. */
async function copyProbe(calls: Calls, probe: string): Promise<void> {
  const copy = `${probe}.copy`;
  try {
    await copyObject(calls, { from: probe, to: copy, size: 0, inParts: false });
  } catch (error) {
    if (!isPlatformError(error) || statusOf(error.cause) !== 501) throw error;
    const { endpoint } = calls.location;
    throw new PlatformError(
      'unavailable',
      `The blob store at ${endpoint} cannot copy objects, as uploads need whose digest is not known at first: use another server.`,
      { cause: error.cause },
    );
  }
  await deleteObject(calls, copy);
}

/** Asks for an answer of the bucket, once. Rejects with what is wrong. */
export async function pingStore(calls: Calls, keys: Keys, signal?: AbortSignal): Promise<void> {
  try {
    await calls.raw((s3, how) => s3.send(new HeadBucketCommand({ Bucket: calls.bucket }), how), {
      signal,
      once: true,
    });
  } catch (error) {
    signal?.throwIfAborted();
    // An answer to HEAD has no words: another question brings them.
    if (statusOf(error) === undefined) throw s3Error(error, calls.location);
    await listOne(calls, keys, signal).catch((reason: unknown) => {
      throw s3Error(reason, calls.location);
    });
  }
}

async function listOne(calls: Calls, keys: Keys, signal?: AbortSignal): Promise<void> {
  const request = { Bucket: calls.bucket, Prefix: keys.blobs, MaxKeys: 1 };
  await calls.raw((s3, how) => s3.send(new ListObjectsV2Command(request), how), { signal });
}

async function createBucket(calls: Calls, { region }: S3BlobStoreOptions): Promise<void> {
  // AWS wants the region named, but for the first of them.
  const constraint = region === undefined || region === 'us-east-1' || region === 'auto' ? undefined : region;
  const where =
    constraint === undefined
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: constraint as 'eu-west-1' } };
  const request = { Bucket: calls.bucket, ...where };
  try {
    await calls.raw((s3, how) => s3.send(new CreateBucketCommand(request), how));
  } catch (error) {
    if (nameOf(error) !== 'BucketAlreadyOwnedByYou') throw s3Error(error, calls.location);
  }
}
