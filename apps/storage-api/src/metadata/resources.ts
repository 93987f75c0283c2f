import {
  PlatformError,
  type Purpose,
  RESULT_TYPES,
  type Resource,
  type ResourceType,
  type Visibility,
} from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { StoredBlob } from '../blobs/index.ts';
import { refuseReserved } from '../pins/reserved.ts';
import { requireQuota } from '../quotas/check.ts';
import { forgetBlobs, recordBlob } from './blobs.ts';
import { keepId, refuseFormerId } from './former-ids.ts';
import type { ResourceRow, StorageDatabase, StorageTransaction } from './schema.ts';

/** What is known of a thing when it is stored, beside its bytes. */
export interface NewResource {
  readonly type: ResourceType;
  readonly uuid: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  /** model: the algo that made it; must be there. */
  readonly algo?: string | undefined;
  /** The order and attempt whose result it is. */
  readonly origin?: { readonly order: string; readonly attempt: number } | undefined;
  /** Who uploads it; nobody knows where absent. */
  readonly owner?: string | undefined;
  /** The most bytes that its owner may have with it; any where absent. */
  readonly quota?: number | undefined;
  /** `private` where absent. */
  readonly visibility?: Visibility | undefined;
  /** data: for what it may be used; anything where absent. */
  readonly purpose?: Purpose | undefined;
  /** data: the ids of the problems that it tests. */
  readonly problems?: readonly string[] | undefined;
  /** output: its job failed. */
  readonly failed?: boolean | undefined;
  /** An admin brings it, and may take an id that was somebody else's. */
  readonly admin?: boolean | undefined;
}

/** What changes of a problem; what is absent stays. */
export interface ProblemChange {
  readonly uuid?: string | undefined;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly blob?: StoredBlob | undefined;
  /** The most bytes that the problem's owner may have with `blob`; any where absent. */
  readonly quotaOf?: ((owner: string) => number | undefined) | undefined;
  /** An admin changes it, and may give it an id that was somebody else's. */
  readonly admin?: boolean | undefined;
}

/** A change, and the digests of the blobs that nobody refers to since. */
export interface Changed {
  readonly resource: Resource;
  readonly freed: readonly string[];
}

/** Throws where somebody may not change a thing, of which the transaction holds the row. */
export type Permit = (transaction: StorageTransaction, row: ResourceRow) => Promise<void>;

/** Writes more within a transaction. */
export type Within = (transaction: StorageTransaction) => Promise<void>;

/** A row as it is shown: the members that its type has, and those that were given. */
export function toResource(row: ResourceRow): Resource {
  return {
    uuid: row.uuid,
    timestamp_upload: Math.floor(row.uploaded_at / 1000),
    ...(row.name === null ? {} : { name: row.name }),
    ...(row.description === null ? {} : { description: row.description }),
    ...(row.algo === null ? {} : { algo: row.algo }),
    size: row.size,
    sha256: row.sha256,
    ...(row.failed === 1 ? { failed: true as const } : {}),
  };
}

/** The row of a thing, or undefined. */
export async function findResource(
  database: StorageTransaction,
  type: ResourceType,
  uuid: string,
): Promise<ResourceRow | undefined> {
  return await database
    .selectFrom('resources')
    .selectAll()
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .executeTakeFirst();
}

/** The row of a thing, held for this transaction; or undefined. */
export async function lockResource(
  transaction: StorageTransaction,
  type: ResourceType,
  uuid: string,
): Promise<ResourceRow | undefined> {
  return await transaction
    .selectFrom('resources')
    .selectAll()
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .forUpdate()
    .executeTakeFirst();
}

/** The position in lists that a thing of a type gets when it is uploaded or changed now. */
export function nextSeq(type: ResourceType): RawBuilder<number> {
  return sql<number>`(select coalesce(max(seq), 0) + 1 from resources where type = ${type})`;
}

/**
 * Adds a thing and its blob within a transaction, which lets go of the blobs of `others` afterwards. The caller has
 * looked for the thing by {@link lockResource}: things are taken before blobs, so that whoever waits for one that is
 * being deleted holds no blob that is asked for. Throws `conflict` where its uuid is taken, `not_found` where its
 * algo is not there, and `quota_exceeded` where its owner may not have as much.
 */
export async function insertResource(
  transaction: StorageTransaction,
  now: RawBuilder<number>,
  resource: NewResource,
  blob: StoredBlob,
  others: readonly string[] = [],
): Promise<ResourceRow> {
  const { type, uuid, algo, owner = '', quota } = resource;
  if (algo !== undefined) await lockAlgo(transaction, algo);
  if (quota !== undefined) await requireQuota(transaction, { owner, quota, adds: blob.size });
  await recordBlob(transaction, now, blob, others);
  const row = await transaction
    .insertInto('resources')
    .values({
      type,
      uuid,
      name: resource.name ?? null,
      description: resource.description ?? null,
      algo: algo ?? null,
      sha256: blob.digest,
      size: blob.size,
      uploaded_at: now,
      seq: nextSeq(type),
      order_id: resource.origin?.order ?? null,
      attempt: resource.origin?.attempt ?? null,
      owner,
      visibility: resource.visibility ?? 'private',
      purpose: resource.purpose ?? 'open',
      problems: (resource.problems ?? []).join(','),
      failed: resource.failed === true ? 1 : 0,
    })
    .onConflict((conflict) => conflict.columns(['type', 'uuid']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw alreadyExists(type, uuid);
  return row;
}

/** Throws `not_found`, in the originals' words, where there is no such algo. */
export async function requireAlgo(database: StorageTransaction, algo: string): Promise<void> {
  if ((await findResource(database, 'algo', algo)) === undefined) throw noSuchResource('algo', algo);
}

/** Throws as {@link requireAlgo} does; until the transaction ends nobody deletes the algo. */
export async function lockAlgo(transaction: StorageTransaction, algo: string): Promise<void> {
  const held = await transaction
    .selectFrom('resources')
    .select('uuid')
    .where('type', '=', 'algo')
    .where('uuid', '=', algo)
    .forKeyShare()
    .executeTakeFirst();
  if (held === undefined) throw noSuchResource('algo', algo);
}

/** Adds a thing, in one transaction with what `within` writes. Throws as {@link insertResource} does. */
export async function addResource(
  database: StorageDatabase,
  resource: NewResource,
  blob: StoredBlob,
  within?: Within,
): Promise<Resource> {
  const { type, uuid } = resource;
  return await database.write(async (transaction) => {
    if (database.engine === 'postgres') await lockName(transaction, type, uuid);
    // Before the rest, since it may give back what the thing then takes.
    await within?.(transaction);
    if (RESULT_TYPES.some((one) => one === type)) await refuseReserved(transaction, type, uuid);
    if ((await lockResource(transaction, type, uuid)) !== undefined) throw alreadyExists(type, uuid);
    await refuseFormerId(transaction, resource);
    return toResource(await insertResource(transaction, database.now, resource, blob));
  });
}

/**
 * Lets one transaction at a time add a thing of this name. Else one that has taken its blob could wait for another that
 * added the thing first, and so for whoever removes that one again and waits for the blob.
 */
async function lockName(transaction: StorageTransaction, type: ResourceType, uuid: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${type}/${uuid}`}, 0))`.execute(transaction);
}

/**
 * Changes a problem, in one transaction. Throws `not_found`, `conflict` where the new uuid is taken, and
 * `quota_exceeded` where the problem's owner may not have as much. The upload time becomes now.
 */
export async function changeProblem(
  database: StorageDatabase,
  uuid: string,
  change: ProblemChange,
  permit: Permit = async () => {},
): Promise<Changed> {
  return await database.write(async (transaction) => {
    const before = await lockResource(transaction, 'problem', uuid);
    if (before === undefined) throw noSuchResource('problem', uuid);
    await permit(transaction, before);
    return await updateProblem(transaction, database.now, before, change);
  });
}

/**
 * Removes a thing, in one transaction, and returns the digests that nothing refers to since. Throws `not_found`, and
 * `in_use` while models of its owner, or orders that are under way, refer to an algo.
 */
export async function removeResource(
  database: StorageDatabase,
  type: ResourceType,
  uuid: string,
  permit: Permit = async () => {},
): Promise<readonly string[]> {
  return await database.write(async (transaction) => {
    const row = await lockResource(transaction, type, uuid);
    if (row === undefined) throw noSuchResource(type, uuid);
    await permit(transaction, row);
    if (type === 'algo') await refuseWhileUsed(transaction, row);
    return await removeLocked(transaction, row);
  });
}

/** Removes a thing that this transaction has locked, with all that it was granted; returns what nothing refers to since. */
export async function removeLocked(
  transaction: StorageTransaction,
  row: ResourceRow,
): Promise<readonly string[]> {
  const { type, uuid } = row;
  await transaction.deleteFrom('resources').where('type', '=', type).where('uuid', '=', uuid).execute();
  await transaction.deleteFrom('grants').where('type', '=', type).where('uuid', '=', uuid).execute();
  await keepId(transaction, row);
  return await forgetBlobs(transaction, [row.sha256]);
}

async function updateProblem(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  before: ResourceRow,
  { uuid: newUuid, name, description, blob, quotaOf, admin }: ProblemChange,
): Promise<Changed> {
  const { uuid, owner } = before;
  if (newUuid !== undefined) {
    if ((await findResource(transaction, 'problem', newUuid)) !== undefined)
      throw alreadyExists('problem', newUuid);
    await refuseFormerId(transaction, { type: 'problem', uuid: newUuid, owner, admin });
  }
  const quota = quotaOf?.(before.owner);
  if (blob !== undefined && quota !== undefined)
    await requireQuota(transaction, { owner: before.owner, quota, adds: blob.size - before.size });
  if (blob !== undefined) await recordBlob(transaction, now, blob, [before.sha256]);
  const after = await transaction
    .updateTable('resources')
    .set({
      uploaded_at: now,
      seq: nextSeq('problem'),
      ...(newUuid === undefined ? {} : { uuid: newUuid }),
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(blob === undefined ? {} : { sha256: blob.digest, size: blob.size }),
    })
    .where('type', '=', 'problem')
    .where('uuid', '=', uuid)
    .returningAll()
    .executeTakeFirstOrThrow();
  if (newUuid !== undefined) {
    await keepId(transaction, before);
    const grants = transaction.updateTable('grants').set({ uuid: newUuid }).where('type', '=', 'problem');
    await grants.where('uuid', '=', uuid).execute();
  }
  return { resource: toResource(after), freed: await forgetBlobs(transaction, [before.sha256]) };
}

/** Models of others do not keep an algo: its owner may not even see them. */
async function refuseWhileUsed(
  transaction: StorageTransaction,
  { uuid: algo, owner }: ResourceRow,
): Promise<void> {
  const model = await transaction
    .selectFrom('resources')
    .select('uuid')
    .where('algo', '=', algo)
    .where('owner', '=', owner)
    .limit(1)
    .executeTakeFirst();
  const staged = await transaction
    .selectFrom('staged')
    .select(['uuid', 'order_id'])
    .where('algo', '=', algo)
    .limit(1)
    .executeTakeFirst();
  if (model !== undefined)
    throw new PlatformError(
      'in_use',
      `The algo ${algo} is in use by the model ${model.uuid}: delete its models first.`,
    );
  const pinned = await transaction
    .selectFrom('pins')
    .select('order_id')
    .where('algo', '=', algo)
    .where('released_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
  if (pinned !== undefined)
    throw new PlatformError(
      'in_use',
      `The algo ${algo} is in use by the order ${pinned.order_id}, which makes a model of it: let that order end first.`,
    );
  if (staged !== undefined)
    throw new PlatformError(
      'in_use',
      `The algo ${algo} is in use by a result of the order ${staged.order_id}: let that order end first.`,
    );
}

/** What is thrown where a uuid is taken, in the originals' words. */
export function alreadyExists(type: ResourceType, uuid: string): PlatformError {
  return new PlatformError('conflict', `[model] UUID ${uuid} already exist in table '${type}'`);
}

/** What is thrown where there is nothing of a uuid, in the originals' words, whose end clients look for. */
export function noSuchResource(type: ResourceType, uuid: string): PlatformError {
  const cause = `[model] Error retrieving ${type} ${uuid} from database: sql: no rows in result set`;
  return new PlatformError('not_found', `Error retrieving ${type} ${uuid}: ${cause}`);
}
