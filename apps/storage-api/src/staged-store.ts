import { PlatformError, type Resource } from '@morpheo/common';
import { type Kysely, sql } from 'kysely';
import { holdBlob, letGoOfBlobs, unheldBlobs } from './blob-rows.ts';
import type { StoredBlob } from './blob-store/index.ts';
import { requireRoom } from './ledger/room.ts';
import { holdAlgo, insertResource, requireAlgo, takeResource, toResource } from './resource-rows.ts';
import type { Changed } from './resource-store.ts';
import type { ResourceRow, StagedRow, StorageDatabase, StorageSchema } from './schema.ts';

/** A result of an attempt, as it is staged. */
export interface StagedResult {
  readonly order: string;
  readonly attempt: number;
  readonly type: 'model' | 'prediction';
  /** The id that it will have. */
  readonly uuid: string;
  readonly algo?: string | undefined;
  /** Whose result it is; nobody knows where absent. */
  readonly owner?: string | undefined;
  /** The most bytes that its owner may have with it; any where absent. */
  readonly quota?: number | undefined;
}

/**
 * Results that attempts brought and that nobody sees before they are published. Every function is one transaction;
 * those that resolve with digests name the blobs that nobody refers to since.
 */
export interface StagedStore {
  /** Throws `not_found` where there is no such algo. */
  requireAlgo(algo: string): Promise<void>;
  /** Throws `stale_attempt` where a later attempt of the order has staged, or its result is published. */
  refuseOvertaken(order: string, attempt: number): Promise<void>;
  /**
   * Stages a result in place of what the attempt staged before. Throws `stale_attempt` where the attempt was overtaken,
   * `not_found` where its algo is not there, and `quota_exceeded` where its owner may not have as much.
   */
  stage(result: StagedResult, blob: StoredBlob): Promise<readonly string[]>;
  /** How many bytes an owner has in results of an order that are staged; a further one takes their place. */
  reservedFor(order: string, owner: string): Promise<number>;
  /**
   * Makes the result of an attempt visible and drops those of the order's other attempts; again, it answers the same.
   * Throws `not_found` where nothing is staged, and `conflict` where the uuid belongs to something else or another
   * attempt of the order was published.
   */
  publish(order: string, attempt: number): Promise<Changed>;
  discard(order: string): Promise<readonly string[]>;
  /** Drops what was staged more than `ageMs` ago, and forgets blobs that nothing refers to. */
  discardOlderThan(ageMs: number): Promise<readonly string[]>;
  /** The blobs of {@link discardOlderThan}: those that nothing else refers to. */
  heldByNothingSince(ageMs: number): Promise<readonly StoredBlob[]>;
}

/** The {@link StagedStore} of a database. */
export function createStagedStore(database: StorageDatabase): StagedStore {
  return {
    requireAlgo: (algo) => requireAlgo(database.read, algo),
    refuseOvertaken: (order, attempt) => refuseOvertaken(database.read, order, attempt),
    stage: (result, blob) =>
      database.write((transaction) => stageResult(transaction, database.now, result, blob)),
    reservedFor: async (order, owner) => {
      const rows = await database.read
        .selectFrom('staged')
        .select('size')
        .where('order_id', '=', order)
        .where('owner', '=', owner)
        .execute();
      return rows.reduce((sum, { size }) => sum + Number(size), 0);
    },
    publish: (order, attempt) =>
      database.write((transaction) => publishResult(transaction, database.now, order, attempt)),
    discard: (order) =>
      database.write(async (transaction) => {
        await takeStaged(transaction, order);
        return await dropStaged(transaction, order);
      }),
    discardOlderThan: (ageMs) =>
      database.write(async (transaction) => {
        const old = await transaction
          .deleteFrom('staged')
          .where(({ eb }) => eb(eb(eb.ref('staged_at'), '+', ageMs), '<', database.now))
          .returning('sha256')
          .execute();
        const unheld = await unheldBlobs(transaction);
        return await letGoOfBlobs(transaction, [
          ...old.map(({ sha256 }) => sha256),
          ...unheld.map(({ digest }) => digest),
        ]);
      }),
    heldByNothingSince: (ageMs) =>
      unheldBlobs(database.read, sql<number>`staged.staged_at + ${ageMs} >= ${database.now}`),
  };
}

async function stageResult(
  transaction: Kysely<StorageSchema>,
  now: StorageDatabase['now'],
  { order, attempt, type, uuid, algo, owner = '', quota }: StagedResult,
  blob: StoredBlob,
): Promise<readonly string[]> {
  await refuseOvertaken(transaction, order, attempt);
  const taken = await takeStaged(transaction, order);
  if (algo !== undefined) await holdAlgo(transaction, algo);
  if (quota !== undefined) {
    // Of an order's results one is published: those of attempts that are over keep no other from being staged.
    const before = taken.filter((row) => row.owner === owner);
    const frees = before.reduce((sum, row) => sum + Number(row.size), 0);
    await requireRoom(transaction, { owner, quota, adds: blob.size - frees });
  }
  const replaced = taken.filter((row) => row.attempt === attempt).map(({ sha256 }) => sha256);
  await holdBlob(transaction, now, blob, replaced);
  const values = {
    ...{ type, uuid, algo: algo ?? null, owner },
    ...{ sha256: blob.digest, size: blob.size, staged_at: now },
  };
  const added = await transaction
    .insertInto('staged')
    .values({ order_id: order, attempt, ...values })
    .onConflict((conflict) => conflict.columns(['order_id', 'attempt']).doNothing())
    .executeTakeFirst();
  if (added.numInsertedOrUpdatedRows === 1n) return [];
  const before = (await takeStaged(transaction, order)).find((row) => row.attempt === attempt);
  const again = transaction.updateTable('staged').set(values).where('order_id', '=', order);
  await again.where('attempt', '=', attempt).execute();
  return before === undefined ? [] : await letGoOfBlobs(transaction, [before.sha256]);
}

async function refuseOvertaken(
  database: Kysely<StorageSchema>,
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

async function publishResult(
  transaction: Kysely<StorageSchema>,
  now: StorageDatabase['now'],
  order: string,
  attempt: number,
): Promise<Changed> {
  // Of those who publish results of one order at once, the first is done before the next looks.
  const all = await takeStaged(transaction, order);
  const published = await findPublished(transaction, order);
  if (published !== undefined) return await publishedBefore(transaction, published, order, attempt);
  const staged = all.find((row) => row.attempt === attempt);
  if (staged === undefined)
    throw new PlatformError('not_found', `Nothing is staged for attempt ${attempt} of order ${order}.`);
  const digests = all.map(({ sha256 }) => sha256);
  const resource = await insertStaged(transaction, now, staged, digests);
  return { resource, freed: await dropStaged(transaction, order) };
}

async function publishedBefore(
  transaction: Kysely<StorageSchema>,
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

async function insertStaged(
  transaction: Kysely<StorageSchema>,
  now: StorageDatabase['now'],
  staged: StagedRow,
  digests: readonly string[],
): Promise<Resource> {
  const { type, uuid, algo, sha256, size, order_id: order, attempt, owner } = staged;
  if ((await takeResource(transaction, type, uuid)) !== undefined)
    throw new PlatformError('conflict', `The id ${uuid} belongs to another ${type} already.`);
  const resource = { type, uuid, algo: algo ?? undefined, origin: { order, attempt }, owner };
  return toResource(await insertResource(transaction, now, resource, { digest: sha256, size }, digests));
}

/** Forgets what is staged for an order, which the transaction has taken. */
async function dropStaged(transaction: Kysely<StorageSchema>, order: string): Promise<string[]> {
  const dropped = await transaction
    .deleteFrom('staged')
    .where('order_id', '=', order)
    .returning('sha256')
    .execute();
  return await letGoOfBlobs(
    transaction,
    dropped.map(({ sha256 }) => sha256),
  );
}

/** What is staged for an order, held for this transaction. */
async function takeStaged(transaction: Kysely<StorageSchema>, order: string): Promise<StagedRow[]> {
  return await transaction
    .selectFrom('staged')
    .selectAll()
    .where('order_id', '=', order)
    .orderBy('attempt')
    .forUpdate()
    .execute();
}

async function findPublished(
  transaction: Kysely<StorageSchema>,
  order: string,
): Promise<ResourceRow | undefined> {
  return await transaction
    .selectFrom('resources')
    .selectAll()
    .where('order_id', '=', order)
    .executeTakeFirst();
}
