import { type Api, PlatformError, type ResourceType, type StorageContract } from '@morpheo/common';
import { parseResourceId } from './resource-id.ts';
import { noSuchResource, toResource } from './resource-rows.ts';
import type { ResourceRow } from './schema.ts';
import type { StorageParts } from './storage-parts.ts';

/** The patterns that the originals name at `/`, and the list of predictions, which they forgot. */
const PATTERNS = [
  '/',
  '/health',
  ...['problem', 'data', 'algo', 'model', 'prediction'].flatMap((type) => [
    `/${type}`,
    `/${type}/:uuid`,
    `/${type}/:uuid/blob`,
  ]),
];

/** The routes that tell what there is, and the one that deletes it. */
export function readHandlers(
  parts: StorageParts,
): Pick<Api<StorageContract>, 'index' | 'list' | 'get' | 'remove'> {
  return {
    index: async () => PATTERNS,
    list: async ({ params: { type }, query }) => {
      const { rows, total, next } = await listOf(parts, { type, ...query });
      const items = rows.map(toResource);
      return {
        items,
        length: items.length,
        page: query.page ?? 0,
        total,
        ...(next === undefined ? {} : { next }),
      };
    },
    get: async ({ params: { type, uuid } }) => toResource(await requireResource(parts, type, uuid)),
    remove: async ({ params: { type, uuid } }) => {
      const row = await requireResource(parts, type, uuid);
      await parts.keeper.release(await parts.resources.remove(type, row.uuid));
      return undefined;
    },
  };
}

async function listOf(
  { resources }: StorageParts,
  request: Parameters<StorageParts['resources']['list']>[0],
): ReturnType<StorageParts['resources']['list']> {
  try {
    return await resources.list(request);
  } catch (error) {
    if (error instanceof PlatformError) throw error;
    throw new PlatformError(
      'internal',
      `Error retrieving ${request.type} list: the log of the service says why`,
      {
        cause: error,
      },
    );
  }
}

/** The row of a thing by the id of a path; throws `invalid_request` and `not_found` in the originals' words. */
export async function requireResource(
  { resources }: StorageParts,
  type: ResourceType,
  given: string,
): Promise<ResourceRow> {
  const uuid = parseResourceId(given);
  const row = await resources.find(type, uuid);
  if (row !== undefined) return row;
  const reason = noSuchResource(type, uuid).message;
  throw new PlatformError('not_found', `Error retrieving ${type} ${given}: ${reason}`);
}
