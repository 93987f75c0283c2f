import { PlatformError } from '@morpheo/common';
import type { StorageTransaction } from '../metadata/schema.ts';
import { holdOwner } from './check.ts';

/** What resumable uploads of one owner may be under way at once; 0: any. */
export interface UploadBounds {
  /** How many. */
  readonly openUploads: number;
  /** How many bytes they may have announced together. */
  readonly openUploadBytes: number;
}

/** An upload that is about to begin. */
export interface NextUpload {
  readonly owner: string;
  /** How many bytes it announces. */
  readonly adds: number;
}

/** So many of the uploads that are under way are named to who has too many. */
const MOST_TOLD = 3;

/**
 * Throws `quota_exceeded` where an owner would have too many resumable uploads under way, or too many bytes announced,
 * within the transaction that begins the next one: until that ends nobody else begins one for the owner.
 */
export async function requireRoomToBegin(
  transaction: StorageTransaction,
  { owner, adds }: NextUpload,
  { openUploads, openUploadBytes }: UploadBounds,
): Promise<void> {
  await holdOwner(transaction, owner);
  const open = await transaction
    .selectFrom('uploads')
    .select(({ fn }) => [fn.countAll<number>().as('count'), fn.sum<number | null>('size').as('bytes')])
    .where('creator', '=', owner)
    .where('finished_at', 'is', null)
    .executeTakeFirstOrThrow();
  const has = { uploads: Number(open.count), bytes: Number(open.bytes ?? 0) };
  const tooMany = openUploads > 0 && has.uploads + 1 > openUploads;
  const tooMuch = openUploadBytes > 0 && has.bytes + adds > openUploadBytes;
  if (!tooMany && !tooMuch) return;
  const bound = tooMany
    ? `${openUploads} uploads`
    : `${openUploadBytes} announced bytes, and ${adds} more come`;
  const idle = await longestIdle(transaction, owner);
  throw new PlatformError(
    'quota_exceeded',
    `${owner === '' ? 'Callers without a name have' : `${owner} has`} ${has.uploads} resumable uploads under way, which have announced ${has.bytes} bytes; at most ${bound}. ` +
      `Go on with one to its end, or delete one (DELETE ${idle.map(({ id }) => `/v1/uploads/${id}`).join(', ')}).`,
    {
      details: {
        owner,
        open: has,
        limits: { uploads: openUploads, bytes: openUploadBytes },
        wanted: adds,
        idle,
      },
    },
  );
}

/** The uploads of an owner to which nothing came for longest. */
async function longestIdle(transaction: StorageTransaction, owner: string) {
  const rows = await transaction
    .selectFrom('uploads')
    .select(['id', 'type', 'uuid', 'size', 'received', 'touched_at'])
    .where('creator', '=', owner)
    .where('finished_at', 'is', null)
    .orderBy('touched_at')
    .orderBy('id')
    .limit(MOST_TOLD)
    .execute();
  return rows.map(({ size, received, touched_at, ...row }) => ({
    ...row,
    size: Number(size),
    received: Number(received),
    touched_at: new Date(Number(touched_at)).toISOString(),
  }));
}
