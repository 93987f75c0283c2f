import { CreateBucketCommand, HeadBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { Calls } from './calls.ts';
import { nameOf, s3Error, statusOf } from './errors.ts';

/** What {@link ensureBucket} is to make sure of. */
export interface EnsureBucket {
  /** What is listed to find out whether that is allowed. */
  readonly prefix: string;
  /** Makes the bucket where it is not there. */
  readonly create: boolean;
  /** Where it is made. */
  readonly region?: string | undefined;
}

/** Makes sure that the bucket is there, and that the keys may list it. Rejects with what is wrong and what to do. */
export async function ensureBucket(calls: Calls, { prefix, create, region }: EnsureBucket): Promise<void> {
  try {
    await listOne(calls, prefix);
  } catch (error) {
    if (nameOf(error) !== 'NoSuchBucket' || !create) throw s3Error(error, calls.location);
    await makeBucket(calls, region);
  }
}

/** Whether the bucket is there. Rejects where that cannot be told, for instance as it is somebody else's. */
export async function hasBucket(calls: Calls): Promise<boolean> {
  try {
    await calls.raw((s3, how) => s3.send(new HeadBucketCommand({ Bucket: calls.bucket }), how));
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw s3Error(error, calls.location);
  }
}

/** Asks for an answer of the bucket, once. Rejects with what is wrong. */
export async function pingBucket(calls: Calls, prefix: string, signal?: AbortSignal): Promise<void> {
  try {
    await calls.raw((s3, how) => s3.send(new HeadBucketCommand({ Bucket: calls.bucket }), how), {
      signal,
      once: true,
    });
  } catch (error) {
    signal?.throwIfAborted();
    // An answer to HEAD has no words: another question brings them.
    if (statusOf(error) === undefined) throw s3Error(error, calls.location);
    await listOne(calls, prefix, signal).catch((reason: unknown) => {
      throw s3Error(reason, calls.location);
    });
  }
}

async function listOne(calls: Calls, prefix: string, signal?: AbortSignal): Promise<void> {
  const request = { Bucket: calls.bucket, Prefix: prefix, MaxKeys: 1 };
  await calls.raw((s3, how) => s3.send(new ListObjectsV2Command(request), how), { signal });
}

/**
 * Makes the bucket, or finds that it is there. Of several that make it at the same time one alone is told `made`; the first
 * region of AWS tells each of them so.
 */
export async function makeBucket(calls: Calls, region?: string): Promise<'made' | 'there'> {
  // AWS wants the region named, but for the first of them.
  const constraint = region === undefined || region === 'us-east-1' || region === 'auto' ? undefined : region;
  const where =
    constraint === undefined
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: constraint as 'eu-west-1' } };
  const request = { Bucket: calls.bucket, ...where };
  try {
    // Once: a call that was given up may have made it.
    await calls.raw((s3, how) => s3.send(new CreateBucketCommand(request), how), { once: true });
    return 'made';
  } catch (error) {
    if (nameOf(error) === 'BucketAlreadyOwnedByYou') return 'there';
    throw s3Error(error, calls.location);
  }
}
