import { randomUUID } from 'node:crypto';
import { isPlatformError, PlatformError } from '@morpheo/common';
import {
  type Calls,
  copyObject,
  deleteObject,
  ensureBucket,
  putObject,
  statusOf,
} from '@morpheo/service/buckets';
import type { Keys } from './keys.ts';
import type { S3BlobStoreOptions } from './options.ts';

/**
 * Finds out before the first upload whether the bucket is there, and whether the keys may list, write, copy and delete
 * in it. Makes the bucket where the options say so. Rejects with what is wrong and what to do.
 */
export async function checkStore(
  calls: Calls,
  keys: Keys,
  { createBucket: create = false, region }: S3BlobStoreOptions,
): Promise<void> {
  await ensureBucket(calls, { prefix: keys.blobs, create, region });
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
