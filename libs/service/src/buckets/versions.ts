import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Calls, How } from './calls.ts';

/**
 * What to change about a bucket that keeps what is removed from it, in one line; undefined where it keeps nothing for
 * long, or does not let us ask. Rejects with the signal's reason alone.
 */
export async function versionsWarning(calls: Calls, signal?: AbortSignal): Promise<string | undefined> {
  const bucket = { Bucket: calls.bucket };
  const [versioning, lock, lifecycle] = await Promise.all([
    answerTo(calls, signal, async (s3, how) => await s3.send(new GetBucketVersioningCommand(bucket), how)),
    answerTo(
      calls,
      signal,
      async (s3, how) => await s3.send(new GetObjectLockConfigurationCommand(bucket), how),
    ),
    answerTo(
      calls,
      signal,
      async (s3, how) => await s3.send(new GetBucketLifecycleConfigurationCommand(bucket), how),
    ),
  ]);
  const rules = lifecycle?.Rules ?? [];
  const expires = rules.some(
    (rule) => rule.Status === 'Enabled' && rule.NoncurrentVersionExpiration !== undefined,
  );
  const keeps = 'keeps what is replaced or deleted, so most uploads are kept twice';
  if (lock?.ObjectLockConfiguration?.Rule !== undefined) {
    return `The bucket ${calls.bucket} locks each object for a time (Object Lock) and ${keeps}. Use a bucket without a default retention.`;
  }
  if (versioning?.Status !== 'Enabled' || expires) return undefined;
  const locked = lock?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
  const remedy = locked ? 'Use a bucket without Object Lock' : 'Suspend its versioning';
  return `The bucket ${calls.bucket} has versions and ${keeps}. ${remedy}, or add a lifecycle rule that expires noncurrent versions after a day.`;
}

/** What the server answers; undefined where it refuses, or knows no such question. */
async function answerTo<T>(
  calls: Calls,
  signal: AbortSignal | undefined,
  ask: (s3: S3Client, how: How) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await calls.raw(ask, { signal, once: true });
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}
