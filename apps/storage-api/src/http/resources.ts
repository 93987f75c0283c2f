import {
  type Action,
  type Api,
  type Call,
  isPlatformError,
  PlatformError,
  type Resource,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { listResources, type PageRequest, type ResourcePage } from '../metadata/pages.ts';
import { findResource, noSuchResource, removeResource } from '../metadata/resources.ts';
import type { ResourceRow } from '../metadata/schema.ts';
import type { StorageParts } from '../parts.ts';
import { sharedBy } from '../permissions/grants.ts';
import { pinnedResource, pinnedThing, ticketOf } from '../pins/attempt.ts';
import { parseResourceId } from './resource-id.ts';

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
  const { permissions } = parts;
  const { read } = parts.database;
  return {
    index: async () => PATTERNS,
    list: async ({ params: { type }, query }, call) => {
      const caller = await permissions.askerOf(read, call);
      const visible = caller.admin ? undefined : sharedBy(caller, parts.settings, type);
      const { rows, counted, next } = await listOf(parts, { type, ...query, visible });
      const items = await permissions.shown(read, caller, rows);
      return {
        items,
        length: items.length,
        page: query.page ?? 0,
        ...counted,
        ...(next === undefined ? {} : { next }),
      };
    },
    get: async ({ params: { type, uuid } }, call) => await getResource(parts, { type, uuid }, call),
    remove: async ({ params: { type, uuid: given } }, call) => {
      const caller = await permissions.askerOf(read, call);
      const { uuid } = await requireResource(parts, { type, uuid: given }, 'change', call);
      const freed = await removeResource(parts.database, type, uuid, async (transaction, row) => {
        await permissions.require(transaction, caller, 'change', row);
      });
      await parts.keeper.release(freed);
      return undefined;
    },
  };
}

async function listOf({ database }: StorageParts, request: PageRequest): Promise<ResourcePage> {
  try {
    return await listResources(database.read, request);
  } catch (error) {
    if (error instanceof PlatformError) throw error;
    throw new PlatformError(
      'internal',
      `Error retrieving ${request.type} list: the log of the service says why`,
      { cause: error },
    );
  }
}

async function getResource(parts: StorageParts, place: Place, call: Call | undefined): Promise<Resource> {
  const { read } = parts.database;
  const ticket = ticketOf(call?.principal);
  if (ticket !== undefined) return pinnedResource(await pinnedThing(read, ticket, place.type, place.uuid));
  const row = await requireResource(parts, place, 'describe', call);
  const [shown] = await parts.permissions.shown(read, await parts.permissions.askerOf(read, call), [row]);
  if (shown === undefined) throw noSuchResource(row.type, row.uuid);
  return shown;
}

/** A type and the id of a path. */
export interface Place {
  readonly type: ResourceType;
  readonly uuid: string;
}

/**
 * The row of a thing by the id of a path, with which the caller may do this. Throws `invalid_request`, and `not_found`
 * for who may not see it as where there is none, in the originals' words; `forbidden` for who may not do it.
 */
export async function requireResource(
  { database: { read }, permissions }: StorageParts,
  { type, uuid: given }: Place,
  action: Action,
  call: Call | undefined,
): Promise<ResourceRow> {
  const uuid = parseResourceId(given);
  try {
    const row = await findResource(read, type, uuid);
    if (row === undefined) throw noSuchResource(type, uuid);
    await permissions.require(read, await permissions.askerOf(read, call), action, row);
    return row;
  } catch (error) {
    if (!isPlatformError(error, 'not_found')) throw error;
    throw new PlatformError('not_found', `Error retrieving ${type} ${given}: ${error.message}`);
  }
}
