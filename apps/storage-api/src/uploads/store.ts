import type { Call, Resource } from '@morpheo/common';
import type { ReadyFile } from '../blobs/index.ts';
import { refuseFormerId } from '../metadata/former-ids.ts';
import {
  addResource,
  alreadyExists,
  findResource,
  type NewResource,
  noSuchResource,
  type Within,
} from '../metadata/resources.ts';
import type { StorageParts } from '../parts.ts';
import { reserved, reservedFor } from '../pins/reserved.ts';
import { recorded } from './errors.ts';
import type { ByteExpectations } from './expectations.ts';

/** The bytes of a new thing, what must hold of them, and what ends the upload early. */
export interface UploadedBytes extends ByteExpectations {
  readonly source: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
  /** How many bytes are said to come, where that is not to be compared with those that do. */
  readonly announced?: number | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly ready?: ReadyFile | undefined;
  /** How many bytes are reserved for it, and counted as its owner's already. */
  readonly reserved?: number | undefined;
}

/**
 * Stores bytes and makes them visible as a thing, in one transaction with what `within` writes;
 * where that fails, bytes that nobody refers to are removed. Throws `quota_exceeded` where its owner may not have as
 * much: before the first byte if their number is known.
 */
export async function storeResource(
  { database, keeper, settings, budgets }: StorageParts,
  resource: NewResource,
  { source, announced, reserved, ...expected }: UploadedBytes,
  within?: Within,
): Promise<Resource> {
  const { type, uuid } = resource;
  const how = { announced: expected.size ?? announced, frees: reserved };
  using budget = await budgets.open(resource.owner, how);
  const charged = { ...resource, quota: budget.quota };
  const whose = { type, owner: resource.owner ?? '' };
  const options = { ...expected, limit: settings.maxUploadBytes, whose };
  await using blob = await keeper.receive(budget.metered(source), options);
  const made = await recorded(type, uuid, () => addResource(database, charged, blob, within));
  await blob.commit();
  return made;
}

/** Throws `not_found`, in the originals' words, where there is no such algo, or none that the caller may use. */
export async function requireAlgo(
  { database: { read }, permissions }: Pick<StorageParts, 'database' | 'permissions'>,
  algo: string,
  call: Call | undefined,
): Promise<void> {
  const row = await findResource(read, 'algo', algo);
  if (row === undefined) throw noSuchResource('algo', algo);
  await permissions.require(read, await permissions.askerOf(read, call), 'use', row);
}

/** Throws `conflict` where a uuid is taken, or was somebody else's: before a byte comes. */
export async function refuseTaken(
  { database: { read } }: Pick<StorageParts, 'database'>,
  wanted: Pick<NewResource, 'type' | 'uuid' | 'owner' | 'admin'>,
): Promise<void> {
  const { type, uuid } = wanted;
  await recorded(type, uuid, async () => {
    if ((await findResource(read, type, uuid)) !== undefined) throw alreadyExists(type, uuid);
    await refuseFormerId(read, wanted);
    if ((await reservedFor(read, type, uuid)) !== undefined) throw reserved(type, uuid);
  });
}
