import type { BlobStore } from '../blobs/index.ts';
import type { StorageDatabase } from '../metadata/schema.ts';

/** How the rows of blobs and the store differ; all are 0 where they agree to the byte. */
export interface Reconciled {
  /** What the rows say. */
  readonly recorded: { readonly blobs: number; readonly bytes: number };
  /** What the store lists. */
  readonly listed: { readonly blobs: number; readonly bytes: number };
  /** Bytes without a row: they are collected once they are old, and are here while somebody uploads. */
  readonly unrecorded: { readonly blobs: number; readonly bytes: number };
  /** Digests with a row whose bytes are not there, or of another size; the first hundred. */
  readonly missing: readonly string[];
}

/** At most so many digests are named. */
const NAMED = 100;

/** Compares the rows of blobs with what the store lists. What is uploaded or deleted meanwhile may count as different. */
export async function reconcile(
  { read }: Pick<StorageDatabase, 'read'>,
  store: Pick<BlobStore, 'list'>,
): Promise<Reconciled> {
  const rows = await read.selectFrom('blobs').select(['sha256', 'size']).execute();
  const sizes = new Map(rows.map(({ sha256, size }) => [sha256, size]));
  const recorded = { blobs: rows.length, bytes: rows.reduce((sum, { size }) => sum + size, 0) };
  const listed = { blobs: 0, bytes: 0 };
  const unrecorded = { blobs: 0, bytes: 0 };
  for await (const { digest, size } of store.list()) {
    add(listed, size);
    if (!sizes.has(digest)) add(unrecorded, size);
    else if (sizes.get(digest) === size) sizes.delete(digest);
  }
  return { recorded, listed, unrecorded, missing: [...sizes.keys()].slice(0, NAMED) };
}

function add(counts: { blobs: number; bytes: number }, size: number): void {
  counts.blobs += 1;
  counts.bytes += size;
}
