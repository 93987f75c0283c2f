import { PlatformError, type Resource, type ResourceType } from '@morpheo/common';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import { holdBlob } from './blob-rows.ts';
import type { StoredBlob } from './blob-store/index.ts';
import { requireRoom } from './ledger/room.ts';
import type { ResourceRow, StorageSchema } from './schema.ts';

/** What is told of a thing when it is stored, beside its bytes. */
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
}

/** A row as it is shown: the members that its type has, and those that were told. */
export function toResource(row: ResourceRow): Resource {
  return {
    uuid: row.uuid,
    timestamp_upload: Math.floor(row.uploaded_at / 1000),
    ...(row.name === null ? {} : { name: row.name }),
    ...(row.description === null ? {} : { description: row.description }),
    ...(row.algo === null ? {} : { algo: row.algo }),
    size: row.size,
    sha256: row.sha256,
  };
}

/** The row of a thing, or undefined. */
export async function findResource(
  database: Kysely<StorageSchema>,
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
export async function takeResource(
  transaction: Kysely<StorageSchema>,
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

/** The place in the order of lists that a thing of a type gets when it is uploaded or changed now. */
export function nextPlace(type: ResourceType): RawBuilder<number> {
  return sql<number>`(select coalesce(max(seq), 0) + 1 from resources where type = ${type})`;
}

/**
 * Adds a thing and its blob within a transaction, which lets go of the blobs of `others` afterwards. The caller has
 * looked for the thing by {@link takeResource}: things are taken before blobs, so that whoever waits for one that is
 * being deleted holds no blob that is asked for. Throws `conflict` where its uuid is taken, `not_found` where its
 * algo is not there, and `quota_exceeded` where its owner may not have as much.
 */
export async function insertResource(
  transaction: Kysely<StorageSchema>,
  now: RawBuilder<number>,
  resource: NewResource,
  blob: StoredBlob,
  others: readonly string[] = [],
): Promise<ResourceRow> {
  const { type, uuid, algo, owner = '', quota } = resource;
  if (algo !== undefined) await holdAlgo(transaction, algo);
  if (quota !== undefined) await requireRoom(transaction, { owner, quota, adds: blob.size });
  await holdBlob(transaction, now, blob, others);
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
      seq: nextPlace(type),
      order_id: resource.origin?.order ?? null,
      attempt: resource.origin?.attempt ?? null,
      owner,
    })
    .onConflict((conflict) => conflict.columns(['type', 'uuid']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw alreadyExists(type, uuid);
  return row;
}

/** Throws `not_found`, in the originals' words, where there is no such algo. */
export async function requireAlgo(database: Kysely<StorageSchema>, algo: string): Promise<void> {
  if ((await findResource(database, 'algo', algo)) === undefined) throw noSuchResource('algo', algo);
}

/** Throws as {@link requireAlgo} does; until the transaction ends nobody deletes the algo. */
export async function holdAlgo(transaction: Kysely<StorageSchema>, algo: string): Promise<void> {
  const held = await transaction
    .selectFrom('resources')
    .select('uuid')
    .where('type', '=', 'algo')
    .where('uuid', '=', algo)
    .forKeyShare()
    .executeTakeFirst();
  if (held === undefined) throw noSuchResource('algo', algo);
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
