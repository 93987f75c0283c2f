import type { Api, Call, ComputeContract, GroupAction } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import type { SearchRow } from '../db/schema.ts';
import { viewerOf } from '../disclosure/shown.ts';
import { nameOf } from '../orders/cancel-retry.ts';
import { keptOwner, mayWithGroups, ownerOf } from '../owners/owners.ts';
import type { SearchFollowers } from '../searches/follow.ts';
import type { Searches } from '../searches/searches.ts';
import { noSearch, searchOf, searchRow } from '../searches/store.ts';
import { listSearches, listTrials, searchView } from '../searches/views.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  | 'postSearch'
  | 'listSearches'
  | 'getSearch'
  | 'getSearchFile'
  | 'listTrials'
  | 'searchEvents'
  | 'cancelSearch'
>;

/** The handlers of searches: who may see the groups of an owner may see their searches. */
export function searchHandlers(
  database: ComputeDatabase,
  searches: Searches,
  followers: SearchFollowers,
): Handlers {
  /** Throws `not_found` where the caller may not do this with the searches of its owner. */
  async function rowFor(action: GroupAction, id: string, call: Call | undefined): Promise<SearchRow> {
    const row = await searchRow(database, id);
    if (!mayWithGroups(action, row.owner, viewerOf(call))) throw noSearch(id);
    return row;
  }
  return {
    postSearch: async ({ body }, call) => {
      await searches.post(body, ownerOf(body.owner, call?.principal));
      return await searchView(database, await rowFor('see', body.uuid, call));
    },
    listSearches: async ({ query }, call) => {
      const viewer = viewerOf(call);
      const owner = keptOwner(query.owner ?? viewer.name);
      if (!mayWithGroups('see', owner, viewer)) return { items: [], total: 0 };
      return await listSearches(database, owner, query);
    },
    getSearch: async ({ params }, call) => await searchView(database, await rowFor('see', params.uuid, call)),
    getSearchFile: async ({ params }, call) => searchOf(await rowFor('see', params.uuid, call)),
    listTrials: async ({ params, query }, call) =>
      await listTrials(database, await rowFor('see', params.uuid, call), query),
    searchEvents: async ({ params, headers }, call) => {
      // Throws `not_found` before anything is answered.
      const { id } = await rowFor('see', params.uuid, call);
      return followers.events(id, Number(headers['last-event-id'] ?? 0), call?.signal);
    },
    cancelSearch: async ({ params }, call) => {
      const { id } = await rowFor('cancel', params.uuid, call);
      await searches.cancel(id, nameOf(call?.principal));
      return await searchView(database, await searchRow(database, id));
    },
  };
}
