import type { Api, Call, ComputeContract, OrderSpec } from '@morpheo/common';
import type { SignTicket } from '@morpheo/service/http';
import { type CallParts, callHandlers } from '../calls/handlers.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import type { GroupActions } from '../groups/actions.ts';
import type { GroupFollowers } from '../groups/follow.ts';
import type { Followers } from '../orders/follow.ts';
import { createIntake } from '../orders/submit.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import type { Retention } from '../retention/retention.ts';
import type { SearchFollowers } from '../searches/follow.ts';
import type { Searches } from '../searches/searches.ts';
import { attemptHandlers } from './attempts.ts';
import { outputOf, placeBatch } from './batch.ts';
import { groupHandlers } from './groups.ts';
import { orderHandlers } from './orders.ts';
import { searchHandlers } from './searches.ts';
import { settingHandlers } from './settings.ts';

/** What the handlers work with. */
export interface HandlerParts {
  readonly database: ComputeDatabase;
  readonly settings: ComputeSettings;
  readonly openOrders: OpenOrders;
  readonly followers: Followers;
  readonly groupActions: GroupActions;
  readonly groupFollowers: GroupFollowers;
  readonly searches: Searches;
  readonly searchFollowers: SearchFollowers;
  readonly retention: Pick<Retention, 'plan' | 'remove'>;
  readonly calls: CallParts;
  readonly signTicket: SignTicket | undefined;
}

/** The handlers of compute-api, one for each route of its contract. */
export function createHandlers({
  database,
  settings,
  openOrders,
  followers,
  groupActions,
  groupFollowers,
  searches,
  searchFollowers,
  retention,
  calls,
  signTicket,
}: HandlerParts): Api<ComputeContract> {
  const intake = createIntake(database, openOrders, settings);
  async function submit(spec: OrderSpec, call: Call | undefined): Promise<OrderSpec | undefined> {
    return await intake.submit(spec, call?.principal);
  }
  return {
    index: async () => ['/', '/health', '/learn', '/pred'],
    learn: async ({ body }, call) => {
      await submit({ kind: 'learn', uplet: body }, call);
      return { message: 'Learn-uplet ingested accordingly' };
    },
    pred: async ({ body }, call) => {
      await submit({ kind: 'predict', uplet: body }, call);
      return { message: 'Pred-uplet ingested' };
    },
    postJob: async ({ body }, call) => {
      const kept = await submit({ kind: 'job', uplet: body }, call);
      return { uuid: body.uuid, ...outputOf(kept) };
    },
    postOrders: async ({ body }, call) => await placeBatch(intake, body.body, call?.principal),
    ...orderHandlers(database, settings, followers, openOrders),
    ...groupHandlers(database, groupActions, groupFollowers),
    ...searchHandlers(database, searches, searchFollowers),
    planRemoval: async ({ query: { from } }) => await retention.plan(from),
    removeOld: async ({ body: { from } }, call) => await retention.remove(from, call?.signal),
    ...settingHandlers(database),
    ...attemptHandlers(database, settings, signTicket),
    ...callHandlers(calls, submit),
  };
}
