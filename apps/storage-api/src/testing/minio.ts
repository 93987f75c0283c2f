import type { SharedMinio } from '@morpheo/real-parts';
import { bucketOptions } from '@morpheo/service/buckets/testing';
import type { BlobStore, S3BlobStoreOptions } from '../blobs/index.ts';
import { openS3BlobStore } from '../blobs/s3/store.ts';

export { bucketOptions, minioTest, sharedMinio } from '@morpheo/service/buckets/testing';

/** A store in a bucket of its own; disposing lets go of it, and the bucket goes with the server. */
export interface TestBucket extends AsyncDisposable {
  readonly server: SharedMinio;
  readonly options: S3BlobStoreOptions;
  readonly store: BlobStore & Disposable;
  /** Opens the same bucket once more. */
  readonly reopen: () => Promise<BlobStore>;
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
