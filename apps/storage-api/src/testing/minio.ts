import { openSharedMinio, type SharedMinio, withParts } from '@morpheo/real-parts';
import { Secret } from '@morpheo/service/config';
import ava from 'ava';
import type { BlobStore, S3BlobStoreOptions } from '../blobs/index.ts';
import { openS3BlobStore } from '../blobs/s3/store.ts';

/** ava's `test`, skipped where the machine has no MinIO. */
export const minioTest = withParts(ava, 'minio');

/** A store in a bucket of its own; disposing lets go of it, and the bucket goes with the server. */
export interface TestBucket extends AsyncDisposable {
  readonly server: SharedMinio;
  readonly options: S3BlobStoreOptions;
  readonly store: BlobStore & Disposable;
  /** Opens the same bucket once more. */
  readonly reopen: () => Promise<BlobStore>;
}

/** A server that nobody ends: the one of the run of tests, else one of the file, started by who asks first. */
export function sharedMinio(): () => Promise<SharedMinio> {
  let starting: Promise<SharedMinio> | undefined;
  ava.after.always('the server goes', async () => await (await starting)?.[Symbol.asyncDispose]());
  return async () => {
    starting ??= openSharedMinio();
    return await starting;
  };
}

/** How a store reaches a new bucket of a server. */
export async function bucketOptions(server: SharedMinio): Promise<S3BlobStoreOptions> {
  const { accessKeyId, secretAccessKey } = server.credentials;
  return {
    bucket: await server.createBucket(),
    endpoint: server.endpoint,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
  };
}

/** Opens an empty store in a new bucket. */
export async function openTestBucket(
  server: SharedMinio,
  extra: Partial<S3BlobStoreOptions> = {},
): Promise<TestBucket> {
  const options = { ...(await bucketOptions(server)), ...extra };
  const stores = new DisposableStack();
  const reopen = async () => stores.use(await openS3BlobStore(options));
  const store = await reopen();
  return { server, options, store, reopen, [Symbol.asyncDispose]: async () => stores[Symbol.dispose]() };
}
