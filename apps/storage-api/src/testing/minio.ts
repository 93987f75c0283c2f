import { type MinioServer, type StartMinio, startMinio, withParts } from '@morpheo/real-parts';
import { Secret } from '@morpheo/service/config';
import ava from 'ava';
import type { BlobStore, S3BlobStoreOptions } from '../blob-store/index.ts';
import { openS3BlobStore } from '../blob-store/s3/store.ts';

/** ava's `test`, skipped where the machine has no MinIO. */
export const minioTest = withParts(ava, 'minio');

/** A store in a bucket of its own; disposing lets go of it, and the bucket goes with the server. */
export interface TestBucket extends AsyncDisposable {
  readonly server: MinioServer;
  readonly options: S3BlobStoreOptions;
  readonly store: BlobStore & Disposable;
}

/** The one server of a test file: started when it is asked for first, gone after the file's last test. */
export function sharedMinio(how?: StartMinio): () => Promise<MinioServer> {
  let starting: Promise<MinioServer> | undefined;
  ava.after.always('the server goes', async () => await (await starting)?.[Symbol.asyncDispose]());
  return async () => {
    starting ??= startMinio(how);
    return await starting;
  };
}

/** How a store reaches a new bucket of a server. */
export async function bucketOptions(server: MinioServer): Promise<S3BlobStoreOptions> {
  const { accessKeyId, secretAccessKey } = server.credentials;
  return {
    bucket: await server.createBucket(),
    endpoint: server.endpoint,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
  };
}

/** Opens an empty store in a new bucket. */
export async function openTestBucket(
  server: MinioServer,
  extra: Partial<S3BlobStoreOptions> = {},
): Promise<TestBucket> {
  const options = { ...(await bucketOptions(server)), ...extra };
  const store = await openS3BlobStore(options);
  return { server, options, store, [Symbol.asyncDispose]: async () => store[Symbol.dispose]() };
}
