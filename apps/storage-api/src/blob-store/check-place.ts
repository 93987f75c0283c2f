import type { BlobPlace } from './open.ts';

/**
 * Looks at the place of blobs without changing anything: whether the bucket answers and lets us list it. Resolves with
 * what was found; rejects with what is wrong. Whether the keys may write is found out at the start.
 */
export async function checkBlobPlace(place: BlobPlace, signal: AbortSignal): Promise<string> {
  if (place.kind === 'local') return `in ${place.folder}`;
  const { bucket, prefix } = place.options;
  const { openCalls } = await import('./s3/calls.ts');
  const { keysBelow } = await import('./s3/keys.ts');
  const { pingStore } = await import('./s3/check.ts');
  using calls = openCalls(place.options);
  await pingStore(calls, keysBelow(prefix), signal);
  return `bucket ${bucket}`;
}
