import type { BlobStore } from './blob-store.ts';
import { openLocalBlobStore } from './local.ts';
import type { S3BlobStoreOptions } from './s3/options.ts';

/** Where blobs are kept. */
export type BlobPlace =
  | { readonly kind: 'local'; readonly folder: string }
  | { readonly kind: 's3'; readonly options: S3BlobStoreOptions };

/**
 * Opens the store of a place; whoever opens it disposes it. `shared`: other processes work by the same rows, which a
 * bucket can bear. Rejects as the driver's own function does.
 */
export async function openBlobStore(
  place: BlobPlace,
  { shared }: { readonly shared: boolean },
): Promise<BlobStore & Disposable> {
  if (place.kind === 's3') {
    // Who keeps blobs in a folder should not wait for this to be loaded.
    const { openS3BlobStore } = await import('./s3/store.ts');
    return await openS3BlobStore({ ...place.options, shared });
  }
  const store = await openLocalBlobStore({ folder: place.folder });
  return Object.assign(store, { [Symbol.dispose]: () => {} });
}
