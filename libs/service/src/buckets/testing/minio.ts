import {
  openSharedMinio,
  type SharedMinio,
  sampleSize,
  startVersitygw,
  withParts,
} from '@morpheo/real-parts';
import ava from 'ava';
import { Secret } from '../../config/index.ts';
import type { BucketCredentials, BucketOptions } from '../options.ts';

/** ava's `test`, skipped where the machine has no MinIO. */
export const minioTest = withParts(ava, 'minio');

/** A server that nobody ends: the one of the run of tests, else one of the file, started by who asks first. */
export function sharedMinio(): () => Promise<SharedMinio> {
  return sharedServer('MinIO', openSharedMinio);
}

/** Whether tests are to run on other servers of S3 than MinIO, too: in `make soak`. */
export const hasOtherServers = sampleSize('OTHER_S3_SERVERS', { small: 0, full: 1 }) > 0;

/** MinIO of a change's tests, and VersityGW of `make soak`: for tests that any server passes. */
export function sharedS3(): () => Promise<SharedMinio> {
  return hasOtherServers ? sharedVersitygw() : sharedMinio();
}

/** The file's VersityGW, another server that speaks S3, started by who asks first. */
export function sharedVersitygw(): () => Promise<SharedMinio> {
  return sharedServer('VersityGW', startVersitygw);
}

function sharedServer(name: string, start: () => Promise<SharedMinio>): () => Promise<SharedMinio> {
  let starting: Promise<SharedMinio> | undefined;
  ava.after.always(`${name} goes`, async () => await (await starting)?.[Symbol.asyncDispose]());
  return async () => {
    starting ??= start();
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
