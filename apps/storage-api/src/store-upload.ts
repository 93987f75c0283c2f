import type { BytesIn, Resource, ResourceType } from '@morpheo/common';
import type { ByteExpectations } from './expectations.ts';
import { alreadyExists, type NewResource } from './resource-rows.ts';
import type { Within } from './resource-store.ts';
import type { StorageParts } from './storage-parts.ts';
import { recorded } from './upload-errors.ts';

/** The bytes of a new thing, what must hold of them, and what ends the upload early. */
export interface UploadedBytes extends ByteExpectations {
  readonly source: AsyncIterable<Uint8Array>;
  /** See {@link BytesIn}. */
  readonly release?: BytesIn['release'];
  readonly signal?: AbortSignal | undefined;
  /** How many bytes are said to come, where that is not to be compared with those that do. */
  readonly announced?: number | undefined;
  /** How many bytes are reserved for it, and counted as its owner's already. */
  readonly reserved?: number | undefined;
}

/**
 * Stores bytes and makes them visible as a thing, in one transaction with what `within` writes; see
 * {@link BlobKeeper.keep} for what happens when that fails. Throws `quota_exceeded` where its owner may not have as
 * much: before the first byte if their number is known.
 */
export async function storeResource(
  { keeper, resources, settings, allowances }: StorageParts,
  resource: NewResource,
  { source, announced, reserved, ...expected }: UploadedBytes,
  within?: Within,
): Promise<Resource> {
  const { type, uuid } = resource;
  const how = { announced: expected.size ?? announced, frees: reserved };
  using allowance = await allowances.open(resource.owner, how);
  const charged = { ...resource, quota: allowance.quota };
  const options = { ...expected, limit: settings.maxUploadBytes };
  return await keeper.keep(allowance.metered(source), options, (blob) =>
    recorded(type, uuid, () => resources.insert(charged, blob, within)),
  );
}

/** Throws `conflict` where a uuid is taken: before a byte of what has it could change. */
export async function refuseTaken(
  { resources }: StorageParts,
  type: ResourceType,
  uuid: string,
): Promise<void> {
  const row = await recorded(type, uuid, () => resources.find(type, uuid));
  if (row !== undefined) throw alreadyExists(type, uuid);
}
