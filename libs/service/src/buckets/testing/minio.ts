import { openSharedMinio, type SharedMinio, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { Secret } from '../../config/index.ts';
import type { BucketCredentials, BucketOptions } from '../options.ts';

/** ava's `test`, skipped where the machine has no MinIO. */
export const minioTest = withParts(ava, 'minio');

/** A server that nobody ends: the one of the run of tests, else one of the file, started by who asks first. */
export function sharedMinio(): () => Promise<SharedMinio> {
  let starting: Promise<SharedMinio> | undefined;
  ava.after.always('the server goes', async () => await (await starting)?.[Symbol.asyncDispose]());
  return async () => {
    starting ??= openSharedMinio();
    return await starting;
  };
}

/** How to reach a bucket of a test. */
export interface TestBucketOptions extends Omit<BucketOptions, 'words'> {
  readonly endpoint: string;
  readonly credentials: BucketCredentials;
}

/** How to reach a new bucket of a server. */
export async function bucketOptions(server: SharedMinio): Promise<TestBucketOptions> {
  const { accessKeyId, secretAccessKey } = server.credentials;
  return {
    bucket: await server.createBucket(),
    endpoint: server.endpoint,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
  };
}
