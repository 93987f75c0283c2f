import { setImmediate } from 'node:timers/promises';
import { PlatformError, type Resource, type ResultType, type Ticket, type Visibility } from '@morpheo/common';
import { sql } from 'kysely';
import type { StoredBlob } from '../blobs/index.ts';
import { dropCheckpoint } from '../checkpoints/store.ts';
import { type IndexedFile, writeIndex } from '../outputs/files.ts';
import { requireCurrent } from '../pins/attempt.ts';
import { forgetReleased, lockPin, noteRound, releaseExpired, releasePins, takePin } from '../pins/release.ts';
import { keepReservedIds, reservedFor } from '../pins/reserved.ts';
import { requireQuota } from '../quotas/check.ts';
import { forgetBlobs, recordBlob, unreferencedBlobs } from './blobs.ts';
import {
  type Changed,
  insertResource,
  lockAlgo,
  lockResource,
  type NewResource,
  toResource,
} from './resources.ts';
import type { ResourceRow, StagedRow, StorageDatabase, StorageTransaction } from './schema.ts';

/** A result of an attempt, as it is staged. */
export interface StagedResult {
  readonly order: string;
  readonly attempt: number;
  readonly type: ResultType;
  /** The id that it will have. */
  readonly uuid: string;
  readonly algo?: string | undefined;
  /** Whose result it is; nobody knows where absent. */
  readonly owner?: string | undefined;
  /** The most bytes that its owner may have with it; any where absent. */
  readonly quota?: number | undefined;
  /** Why nobody may have it; all may where absent. */
  readonly withheld?: string | undefined;
  /** The files of an output. */
  readonly files?: readonly IndexedFile[] | undefined;
  /** What the attempt has shown; where absent, who stages it answers for it. */
  readonly ticket?: Ticket | undefined;
}

/** How many bytes an owner has in results of an order that are staged; a further one takes their place. */
export async function stagedBytes(read: StorageTransaction, order: string, owner: string): Promise<number> {
  const rows = await read
    .selectFrom('staged')
    .select('size')
    .where('order_id', '=', order)
    .where('owner', '=', owner)
    .execute();
  return rows.reduce((sum, { size }) => sum + Number(size), 0);
}

/** Throws `stale_attempt` where a later attempt of the order has staged, or its result is published. */
export async function refuseOvertaken(
  database: StorageTransaction,
  order: string,
  attempt: number,
): Promise<void> {
  const published = await findPublished(database, order);
  const later = await database
    .selectFrom('staged')
    .select('attempt')
    .where('order_id', '=', order)
    .where('attempt', '>', attempt)
    .executeTakeFirst();
  const by = published?.attempt ?? later?.attempt;
  if (by === undefined || by === null) return;
  throw new PlatformError(
    'stale_attempt',
    `Attempt ${attempt} of order ${order} can stage nothing any more: ${
      published === undefined
        ? `attempt ${by} has staged a result`
        : `the result of attempt ${by} is published`
    }. Stop, and drop the result.`,
  );
}

/**
 * Stages a result, which nobody sees before it is published, in place of what the attempt staged before, in one
 * transaction. Returns the digests that nothing refers to since. Throws `stale_attempt` where the attempt was
 * overtaken, `not_found` where its algo is not there, and `quota_exceeded` where its owner may not have as much.
 */
export async function stageResult(
  database: StorageDatabase,
  result: StagedResult,
  blob: StoredBlob,
): Promise<readonly string[]> {
  return await database.write((transaction) => insertStaged(transaction, database.now, result, blob));
}

async function insertStaged(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  { order, attempt, type, uuid, algo, owner = '', quota, withheld = '', files = [], ticket }: StagedResult,
  blob: StoredBlob,
): Promise<readonly string[]> {
  // First, so that a result of an order that has ended meanwhile is not staged.
  if (ticket !== undefined) requireCurrent(await lockPin(transaction, order), ticket);
  await refuseOvertaken(transaction, order, attempt);
  const taken = await lockStaged(transaction, order);
  if (algo !== undefined) await lockAlgo(transaction, algo);
  if (quota !== undefined) {
    // Of an order's results one is published: those of attempts that are over keep no other from being staged.
    const before = taken.filter((row) => row.owner === owner);
    const frees = before.reduce((sum, row) => sum + Number(row.size), 0);
    await requireQuota(transaction, { owner, quota, adds: blob.size - frees });
  }
  const replaced = taken.filter((row) => row.attempt === attempt).map(({ sha256 }) => sha256);
  await recordBlob(transaction, now, blob, replaced);
  await writeIndex(transaction, blob.digest, files);
  const values = {
    ...{ type, uuid, algo: algo ?? null, owner, withheld },
    ...{ sha256: blob.digest, size: blob.size, staged_at: now },
  };
  const added = await transaction
    .insertInto('staged')
    .values({ order_id: order, attempt, ...values })
    .onConflict((conflict) => conflict.columns(['order_id', 'attempt']).doNothing())
    .executeTakeFirst();
  if (added.numInsertedOrUpdatedRows === 1n) return [];
  const before = (await lockStaged(transaction, order)).find((row) => row.attempt === attempt);
  const again = transaction.updateTable('staged').set(values).where('order_id', '=', order);
  await again.where('attempt', '=', attempt).execute();
  return before === undefined ? [] : await forgetBlobs(transaction, [before.sha256]);
}

/** What is said of a result when it is published. */
export interface Publication {
  /** Who may use the result of an owner; `private` where absent. */
  readonly visibilityOf?: ((owner: string) => Visibility) | undefined;
  /** True: it is the output of a job that failed. */
  readonly failed?: boolean | undefined;
}

/**
 * Makes the result of an attempt visible and drops those of the order's other attempts and its checkpoint, in one transaction; again, it
 * answers the same. Throws `not_found` where nothing is staged, `wrong_state` where the result is withheld, and `conflict` where the uuid belongs to something else
 * or another attempt of the order was published.
 */
export async function publishResult(
  database: StorageDatabase,
  order: string,
  attempt: number,
  { visibilityOf = () => 'private', failed = false }: Publication = {},
): Promise<Changed> {
  return await database.write(async (transaction) => {
    // Of those who publish results of one order at once, the first is done before the next looks.
    const pin = await lockPin(transaction, order);
    const all = await lockStaged(transaction, order);
    const published = await findPublished(transaction, order);
    if (published !== undefined) return await publishedBefore(transaction, published, order, attempt);
    const staged = all.find((row) => row.attempt === attempt);
    if (staged === undefined)
      throw new PlatformError('not_found', `Nothing is staged for attempt ${attempt} of order ${order}.`);
    await refuseTaken(transaction, staged);
    if (staged.withheld !== '') throw new PlatformError('wrong_state', staged.withheld);
    const released = pin === undefined ? [] : await releasePins(transaction, database.now, [order]);
    released.push(...(await dropCheckpoint(transaction, order)));
    const digests = [...all.map(({ sha256 }) => sha256), ...released];
    const visibility = visibilityOf(staged.owner);
    const resource = await insertPublished(
      transaction,
      database.now,
      { ...staged, visibility, failed },
      digests,
    );
    return { resource, freed: await dropStaged(transaction, order, released) };
  });
}

/** Throws `conflict` where the id of a result belongs to something else, or is kept for another order. */
async function refuseTaken(
  transaction: StorageTransaction,
  { type, uuid, order_id }: StagedRow,
): Promise<void> {
  const holder = await reservedFor(transaction, type, uuid);
  const there = await lockResource(transaction, type, uuid);
  if (there === undefined && (holder === undefined || holder === order_id)) return;
  throw new PlatformError('conflict', `The id ${uuid} belongs to another ${type} already.`);
}

async function publishedBefore(
  transaction: StorageTransaction,
  published: ResourceRow,
  order: string,
  attempt: number,
): Promise<Changed> {
  if (published.attempt !== attempt)
    throw new PlatformError(
      'conflict',
      `The order ${order} has a published result already, that of its attempt ${published.attempt}.`,
    );
  return { resource: toResource(published), freed: await dropStaged(transaction, order) };
}

async function insertPublished(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  staged: StagedRow & Pick<NewResource, 'visibility' | 'failed'>,
  digests: readonly string[],
): Promise<Resource> {
  const { type, uuid, algo, sha256, size, order_id: order, attempt, owner, visibility, failed } = staged;
  const origin = { order, attempt };
  const resource = { type, uuid, algo: algo ?? undefined, origin, owner, visibility, failed };
  return toResource(await insertResource(transaction, now, resource, { digest: sha256, size }, digests));
}

/**
 * Drops what is staged for an order and its checkpoint, and releases what is pinned for it, in one transaction. Where a `round` is given
 * and a later one is pinned, nothing changes. Returns the digests that nothing refers to since.
 */
export async function discardResults(
  database: StorageDatabase,
  order: string,
  round?: number,
): Promise<readonly string[]> {
  return await database.write(async (transaction) => {
    const pin = await (round === undefined
      ? lockPin(transaction, order)
      : takePin(transaction, order, round));
    if (pin !== undefined && round !== undefined && pin.round > round) return [];
    await lockStaged(transaction, order);
    await keepReservedIds(transaction, [order]);
    const released = pin === undefined ? [] : await releasePins(transaction, database.now, [order]);
    released.push(...(await dropCheckpoint(transaction, order)));
    if (round !== undefined) await noteRound(transaction, order, round);
    return await dropStaged(transaction, order, released);
  });
}

/** So many rows go in one transaction: it holds up those who write, and each row may free a blob. */
const MOST_AT_ONCE = 200;

/**
 * Drops what was staged more than `ageMs` ago, and forgets blobs that nothing refers to, a few in each transaction and
 * none while it looks for them. Returns what was forgotten. Rejects with the reason of the signal.
 */
export async function discardExpired(
  database: StorageDatabase,
  ageMs: number,
  signal?: AbortSignal,
): Promise<readonly StoredBlob[]> {
  const { now } = database;
  const forgotten: StoredBlob[] = [];
  // What they alone held is unreferenced then, and found below.
  const expire = async (transaction: StorageTransaction) =>
    await releaseExpired(transaction, now, MOST_AT_ONCE);
  while ((await database.write(expire)) === MOST_AT_ONCE) {
    signal?.throwIfAborted();
    await setImmediate();
  }
  for (let goesOn = true; goesOn; await setImmediate()) {
    signal?.throwIfAborted();
    const done = await database.write(async (transaction) => {
      const released = await forgetReleased(transaction, now, ageMs, MOST_AT_ONCE);
      return { released, ...(await dropOld(transaction, now, ageMs)) };
    });
    goesOn = done.released === MOST_AT_ONCE || done.dropped === MOST_AT_ONCE;
    forgotten.push(...done.forgotten);
  }
  for await (const page of unreferencedBlobs(database.read, { signal }))
    forgotten.push(...(await database.write(async (transaction) => await forgetThose(transaction, page))));
  return forgotten;
}

/** Drops the oldest of what was staged more than `ageMs` ago. */
async function dropOld(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  ageMs: number,
): Promise<{ readonly dropped: number; readonly forgotten: readonly StoredBlob[] }> {
  const isOld = sql<boolean>`staged_at < ${now} - ${sql.lit(ageMs)}`;
  const { rows } = await sql<{ digest: string; size: number | string }>`
    delete from staged where ${isOld} and (order_id, attempt) in (
      select order_id, attempt from staged where ${isOld} order by staged_at limit ${sql.lit(MOST_AT_ONCE)}
    ) returning sha256 as digest, size
  `.execute(transaction);
  const blobs = rows.map(({ digest, size }) => ({ digest, size: Number(size) }));
  return { dropped: rows.length, forgotten: await forgetThose(transaction, blobs) };
}

/** Those of the blobs that {@link forgetBlobs} forgets, with their sizes. */
async function forgetThose(
  transaction: StorageTransaction,
  blobs: readonly StoredBlob[],
): Promise<StoredBlob[]> {
  const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
  const gone = await forgetBlobs(transaction, [...sizes.keys()]);
  return gone.map((digest) => ({ digest, size: sizes.get(digest) ?? 0 }));
}

/** What {@link discardExpired} would forget: the blobs that nothing refers to but what it would drop. */
export async function expiredBlobs(
  { read, now }: StorageDatabase,
  ageMs: number,
  signal?: AbortSignal,
): Promise<StoredBlob[]> {
  const counts = sql`staged.staged_at >= ${now} - ${sql.lit(ageMs)}`;
  return (await Array.fromAsync(unreferencedBlobs(read, { counts, signal }))).flat();
}

/** Forgets what is staged for an order, which the transaction has locked, and what else it has let go of. */
async function dropStaged(
  transaction: StorageTransaction,
  order: string,
  others: readonly string[] = [],
): Promise<string[]> {
  const dropped = await transaction
    .deleteFrom('staged')
    .where('order_id', '=', order)
    .returning('sha256')
    .execute();
  return await forgetBlobs(transaction, [...dropped.map(({ sha256 }) => sha256), ...others]);
}

/** What is staged for an order, locked for this transaction. */
async function lockStaged(transaction: StorageTransaction, order: string): Promise<StagedRow[]> {
  return await transaction
    .selectFrom('staged')
    .selectAll()
    .where('order_id', '=', order)
    .orderBy('attempt')
    .forUpdate()
    .execute();
}

async function findPublished(
  transaction: StorageTransaction,
  order: string,
): Promise<ResourceRow | undefined> {
  return await transaction
    .selectFrom('resources')
    .selectAll()
    .where('order_id', '=', order)
    .executeTakeFirst();
}
