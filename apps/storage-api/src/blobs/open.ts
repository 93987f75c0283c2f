import { join } from 'node:path';
import { requireWritable } from '@morpheo/service/check';
import type { Log } from '@morpheo/service/log';
import type { BlobStore } from './blob-store.ts';
import { LOCAL_FOLDERS, openLocalBlobStore } from './local/store.ts';
import { keysBelow } from './s3/keys.ts';
import { type S3BlobStoreOptions, STORE_WORDS } from './s3/options.ts';

/** Where blobs are kept. */
export type BlobLocation =
  | { readonly kind: 'local'; readonly folder: string }
  | { readonly kind: 's3'; readonly options: S3BlobStoreOptions };

/**
 * Opens the store of a location; whoever opens it disposes it. `shared`: other processes work by the same rows, which a
 * bucket can bear. `log` is told what to change about the store, if not all is well. Rejects as the driver's own
 * function does.
 */
export async function openBlobStore(
  location: BlobLocation,
  { shared, log }: { readonly shared: boolean; readonly log?: Log | undefined },
): Promise<BlobStore & Disposable> {
  if (location.kind === 's3') {
    // Who keeps blobs in a folder should not wait for this to be loaded.
    const { openS3BlobStore } = await import('./s3/store.ts');
    return await openS3BlobStore({ ...location.options, shared, log });
  }
  const store = await openLocalBlobStore({ folder: location.folder });
  return Object.assign(store, { [Symbol.dispose]: () => {} });
}

/**
 * Looks at the location of blobs without changing anything: whether its folders can be written, or the bucket answers and
 * lets us list it. Resolves with what was found; rejects with what is wrong. Whether the keys may write to the bucket is
 * found out at the start.
 */
export async function checkBlobLocation(location: BlobLocation, signal: AbortSignal): Promise<string> {
  if (location.kind === 'local') {
    for (const name of LOCAL_FOLDERS) await requireWritable(join(location.folder, name));
    return `in ${location.folder}`;
  }
  const { bucket, prefix } = location.options;
  const { openCalls, pingBucket } = await import('@morpheo/service/buckets');
  using calls = openCalls({ ...location.options, words: STORE_WORDS });
  await pingBucket(calls, keysBelow(prefix).blobs, signal);
  return `bucket ${bucket}`;
}

/** What had better be changed about the location of blobs, where {@link checkBlobLocation} finds it well; in a line. */
export async function blobLocationWarning(
  location: BlobLocation,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (location.kind === 'local') return undefined;
  const { openCalls, versionsWarning } = await import('@morpheo/service/buckets');
  using calls = openCalls({ ...location.options, words: STORE_WORDS });
  return await versionsWarning(calls, signal);
}
