import { PlatformError, type Resource, type ResourceType } from '@morpheo/common';
import type { Kysely } from 'kysely';
import { hasBlob, holdBlob, letGoOfBlobs } from './blob-rows.ts';
import type { StoredBlob } from './blob-store/index.ts';
import { requireRoom } from './ledger/room.ts';
import { listResources, type PageRequest, type ResourcePage } from './resource-page.ts';
import {
  alreadyExists,
  findResource,
  insertResource,
  type NewResource,
  nextPlace,
  noSuchResource,
  takeResource,
  toResource,
} from './resource-rows.ts';
import type { ResourceRow, StorageDatabase, StorageSchema } from './schema.ts';

/** What changes of a problem; what is absent stays. */
export interface ProblemChange {
  readonly uuid?: string | undefined;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly blob?: StoredBlob | undefined;
  /** The most bytes that the problem's owner may have with `blob`; any where absent. */
  readonly quotaOf?: ((owner: string) => number | undefined) | undefined;
}

/** A change, and the digests of the blobs that nobody refers to since. */
export interface Changed {
  readonly resource: Resource;
  readonly freed: readonly string[];
}

/** Writes more within a transaction. */
export type Within = (transaction: Kysely<StorageSchema>) => Promise<void>;

/**
 * What is known of problems, algos, models, data and predictions. Every function is one transaction: all or nothing,
 * and on disk when it resolves.
 */
export interface ResourceStore {
  find(type: ResourceType, uuid: string): Promise<ResourceRow | undefined>;
  /** See {@link listResources}. */
  list(request: PageRequest): Promise<ResourcePage>;
  /** See {@link insertResource}. What `within` writes is part of the transaction. */
  insert(resource: NewResource, blob: StoredBlob, within?: Within): Promise<Resource>;
  /**
   * Throws `not_found`, `conflict` where the new uuid is taken, and `quota_exceeded` where the problem's owner may not
   * have as much. The upload time becomes now.
   */
  changeProblem(uuid: string, change: ProblemChange): Promise<Changed>;
  /** Throws `not_found`, and `in_use` while models refer to an algo. Resolves with the digests that are free since. */
  remove(type: ResourceType, uuid: string): Promise<readonly string[]>;
  /** True where a blob is there for readers. */
  hasBlob(digest: string): Promise<boolean>;
}

/** The {@link ResourceStore} of a database. */
export function createResourceStore(database: StorageDatabase): ResourceStore {
  return {
    find: (type, uuid) => findResource(database.read, type, uuid),
    list: (request) => listResources(database.read, request),
    insert: (resource, blob, within) =>
      database.write(async (transaction) => {
        // First, since it may give back what the thing then takes.
        await within?.(transaction);
        const { type, uuid } = resource;
        if ((await takeResource(transaction, type, uuid)) !== undefined) throw alreadyExists(type, uuid);
        return toResource(await insertResource(transaction, database.now, resource, blob));
      }),
    changeProblem: (uuid, change) =>
      database.write((transaction) => changeProblem(transaction, database.now, uuid, change)),
    remove: (type, uuid) => database.write((transaction) => removeResource(transaction, type, uuid)),
    hasBlob: (digest) => hasBlob(database.read, digest),
  };
}

async function changeProblem(
  transaction: Kysely<StorageSchema>,
  now: StorageDatabase['now'],
  uuid: string,
  { uuid: newUuid, name, description, blob, quotaOf }: ProblemChange,
): Promise<Changed> {
  const before = await takeResource(transaction, 'problem', uuid);
  if (before === undefined) throw noSuchResource('problem', uuid);
  if (newUuid !== undefined && (await findResource(transaction, 'problem', newUuid)) !== undefined)
    throw alreadyExists('problem', newUuid);
  const quota = quotaOf?.(before.owner);
  if (blob !== undefined && quota !== undefined)
    await requireRoom(transaction, { owner: before.owner, quota, adds: blob.size - before.size });
  if (blob !== undefined) await holdBlob(transaction, now, blob, [before.sha256]);
  const after = await transaction
    .updateTable('resources')
    .set({
      uploaded_at: now,
      seq: nextPlace('problem'),
      ...(newUuid === undefined ? {} : { uuid: newUuid }),
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(blob === undefined ? {} : { sha256: blob.digest, size: blob.size }),
    })
    .where('type', '=', 'problem')
    .where('uuid', '=', uuid)
    .returningAll()
    .executeTakeFirstOrThrow();
  return { resource: toResource(after), freed: await letGoOfBlobs(transaction, [before.sha256]) };
}

async function removeResource(
  transaction: Kysely<StorageSchema>,
  type: ResourceType,
  uuid: string,
): Promise<string[]> {
  const row = await takeResource(transaction, type, uuid);
  if (row === undefined) throw noSuchResource(type, uuid);
  if (type === 'algo') await refuseWhileUsed(transaction, uuid);
  await transaction.deleteFrom('resources').where('type', '=', type).where('uuid', '=', uuid).execute();
  return await letGoOfBlobs(transaction, [row.sha256]);
}

async function refuseWhileUsed(transaction: Kysely<StorageSchema>, algo: string): Promise<void> {
  const model = await transaction
    .selectFrom('resources')
    .select('uuid')
    .where('algo', '=', algo)
    .limit(1)
    .executeTakeFirst();
  const staged = await transaction
    .selectFrom('staged')
    .select(['uuid', 'order_id'])
    .where('algo', '=', algo)
    .limit(1)
    .executeTakeFirst();
  if (model !== undefined)
    throw inUse(`The algo ${algo} is in use by the model ${model.uuid}: delete its models first.`);
  if (staged !== undefined)
    throw inUse(
      `The algo ${algo} is in use by a result of the order ${staged.order_id}: let that order end first.`,
    );
}

function inUse(message: string): PlatformError {
  return new PlatformError('in_use', message);
}
