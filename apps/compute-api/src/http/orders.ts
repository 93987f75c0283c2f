import { type Api, type Call, type ComputeContract, LogText, streamOf } from '@morpheo/common';
import type { LogEntry } from '../attempts/log-store.ts';
import { metricsOf, pageOfMetrics } from '../attempts/told-metrics.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { shownOf, viewerOf } from '../disclosure/shown.ts';
import { cancelOrder, retryOrder } from '../orders/cancel-retry.ts';
import type { Followers } from '../orders/follow.ts';
import { countOrders, listOrders, orderRow, orderView } from '../orders/queries.ts';
import { summaryOf } from '../orders/views.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { explain } from '../queue/explain.ts';
import { positionOf } from '../queue/position.ts';
import { isLogRemoved } from '../retention/logs.ts';
import { isPaused, listWorkers, setPaused } from '../workers/store.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  | 'listOrders'
  | 'getOrder'
  | 'orderEvents'
  | 'orderMetrics'
  | 'orderLog'
  | 'orderLogEvents'
  | 'whyOrder'
  | 'cancelOrder'
  | 'retryOrder'
  | 'listWorkers'
  | 'getQueue'
  | 'pauseQueue'
>;

/** The handlers of `/v1` for people: orders, their history and log, workers, the queue. */
export function orderHandlers(
  database: ComputeDatabase,
  settings: ComputeSettings,
  followers: Followers,
  openOrders: OpenOrders,
): Handlers {
  const { leaseMs, foreignWorkers } = settings;
  /** Throws `not_found` before anything is answered. */
  async function following(order: string, lastEventId: string | undefined, call: Call | undefined) {
    await orderRow(database, order);
    return { order, from: Number(lastEventId ?? 0), viewer: viewerOf(call), signal: call?.signal };
  }
  return {
    listOrders: async ({ query }, call) => await listOrders(database, query, viewerOf(call)),
    getOrder: async ({ params }, call) => {
      const row = await orderRow(database, params.id);
      const view = await orderView(database, row, viewerOf(call));
      const queue = foreignWorkers ? undefined : await positionOf(row, database, leaseMs);
      return queue === undefined ? view : { ...view, queue };
    },
    whyOrder: async ({ params }, call) =>
      await explain(await orderRow(database, params.id), viewerOf(call), database, settings),
    cancelOrder: async ({ params }, call) =>
      summaryOf(await cancelOrder(database, params.id, call?.principal), viewerOf(call)),
    retryOrder: async ({ params }, call) =>
      summaryOf(await retryOrder(database, openOrders, params.id, call?.principal), viewerOf(call)),
    listWorkers: async () => ({ items: await listWorkers(database, leaseMs) }),
    getQueue: async () => ({ paused: await isPaused(database.read), ...(await countOrders(database)) }),
    pauseQueue: async ({ body: { paused } }) => {
      await database.write(async (tx) => await setPaused(tx, paused));
      return { paused };
    },
    orderEvents: async ({ params, headers }, call) =>
      followers.history(await following(params.id, headers['last-event-id'], call)),
    orderMetrics: async ({ params, query }, call) => {
      const row = await orderRow(database, params.id);
      const isShown = shownOf(viewerOf(call), row, 'job') === 'all';
      return pageOfMetrics(isShown ? await metricsOf(database.read, row.id) : [], query);
    },
    orderLogEvents: async ({ params, headers }, call) =>
      followers.logEvents(await following(params.id, headers['last-event-id'], call)),
    orderLog: async ({ params, query }, call) => {
      const start = await following(params.id, undefined, call);
      const entries =
        query.follow === true ? followers.log(start) : followers.storedLog(params.id, start.viewer);
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
        body: streamOf(
          (await isLogRemoved(database, params.id, settings.retention))
            ? noticeOf(LOG_REMOVED)
            : textOf(entries, query.attempt),
        ),
      };
    },
  };
}

const LOG_REMOVED = 'The log of this order was removed because of its age.\n';

async function* noticeOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

async function* textOf(
  entries: AsyncIterable<LogEntry>,
  attempt: number | undefined,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const log = new LogText();
  for await (const { chunk } of entries) {
    if (attempt === undefined || chunk.attempt === attempt) yield encoder.encode(log.next(chunk));
  }
}
