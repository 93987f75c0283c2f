import type { BytesIn, Resource, ResourceType } from '@morpheo/common';
import type { ByteExpectations } from './expectations.ts';
import { alreadyExists, type NewResource } from './resource-rows.ts';
import type { StorageParts } from './storage-parts.ts';
import { recorded } from './upload-errors.ts';

/** The bytes of a new thing, what must hold of them, and what ends the upload early. */
export interface UploadedBytes extends ByteExpectations {
  readonly source: AsyncIterable<Uint8Array>;
  /** See {@link BytesIn}. */
  readonly release?: BytesIn['release'];
  readonly signal?: AbortSignal | undefined;
}

/** Stores bytes and makes them visible as a thing; see {@link BlobKeeper.keep} for what happens when that fails. */
export async function storeResource(
  { keeper, resources, settings }: StorageParts,
  resource: NewResource,
  { source, ...expected }: UploadedBytes,
): Promise<Resource> {
  const { type, uuid } = resource;
  return await keeper.keep(source, { ...expected, limit: settings.maxUploadBytes }, (blob) =>
    recorded(type, uuid, () => resources.insert(resource, blob)),
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
