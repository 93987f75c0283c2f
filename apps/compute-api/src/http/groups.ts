import type { Api, Call, ComputeContract, GroupAction } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { viewerOf } from '../disclosure/shown.ts';
import type { GroupActions } from '../groups/actions.ts';
import type { GroupFollowers } from '../groups/follow.ts';
import { type GroupKey, groupRow, noGroup } from '../groups/store.ts';
import { groupView, listGroups } from '../groups/views.ts';
import { keptOwner, mayWithGroups } from '../owners/owners.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  'listOrderGroups' | 'getOrderGroup' | 'orderGroupEvents' | 'cancelOrderGroup' | 'retryOrderGroup'
>;

/** What names a group in a request. */
interface Named {
  readonly params: { readonly name: string };
  readonly query: { readonly owner?: string | undefined };
}

/** The handlers of groups of orders. */
export function groupHandlers(
  database: ComputeDatabase,
  actions: GroupActions,
  followers: GroupFollowers,
): Handlers {
  /** The group that is named; throws `not_found` where the caller may not do this with the groups of its owner. */
  function keyOf({ params: { name }, query }: Named, action: GroupAction, call: Call | undefined): GroupKey {
    const key = { owner: ownerOf(query, call), name };
    if (!mayWithGroups(action, key.owner, viewerOf(call))) throw noGroup(key);
    return key;
  }
  async function viewOf(key: GroupKey, call: Call | undefined) {
    return await groupView(database, await groupRow(database, key), viewerOf(call));
  }
  return {
    listOrderGroups: async ({ query }, call) => {
      const owner = ownerOf(query, call);
      if (!mayWithGroups('see', owner, viewerOf(call))) return { items: [], total: 0 };
      return await listGroups(database, owner, query);
    },
    getOrderGroup: async (input, call) => await viewOf(keyOf(input, 'see', call), call),
    orderGroupEvents: async (input, call) => {
      const key = keyOf(input, 'see', call);
      // Throws `not_found` before anything is answered.
      await groupRow(database, key);
      return followers.events(key, call?.signal);
    },
    cancelOrderGroup: async (input, call) => {
      const key = keyOf(input, 'cancel', call);
      await actions.cancel(key, call?.principal);
      return await viewOf(key, call);
    },
    retryOrderGroup: async (input, call) => {
      const key = keyOf(input, 'retry', call);
      await actions.retry(key, input.body.cancelled === true, call?.principal);
      return await viewOf(key, call);
    },
  };
}

/** Whose groups are meant, as it is kept: the caller's where nobody is named. */
function ownerOf({ owner }: Named['query'], call: Call | undefined): string {
  return keptOwner(owner ?? viewerOf(call).name);
}
