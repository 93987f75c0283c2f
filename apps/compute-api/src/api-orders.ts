import {
  type Api,
  type Call,
  type ComputeContract,
  type LogChunk,
  type ServerEvent,
  streamOf,
} from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Feed } from './feed.ts';
import type { Interventions } from './interventions.ts';
import type { LogStore } from './log-store.ts';
import { hasEnded, type OrderQueries } from './order-queries.ts';
import { summaryOf } from './order-views.ts';
import { placeInQueue } from './queue-place.ts';
import type { Schema } from './schema.ts';
import { whyOf } from './why.ts';
import type { WorkerQueries } from './worker-queries.ts';
import type { WorkerStore } from './worker-store.ts';

/** What the handlers for people work with. */
export interface OrderParts {
  readonly database: Database<Schema>;
  readonly queries: OrderQueries;
  readonly workerQueries: WorkerQueries;
  readonly workers: WorkerStore;
  readonly interventions: Interventions;
  readonly logs: LogStore;
  readonly feed: Feed;
}

type Handlers = Pick<
  Api<ComputeContract>,
  | 'listOrders'
  | 'getOrder'
  | 'orderEvents'
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
export function orderHandlers(parts: OrderParts): Handlers {
  const { database, queries, workerQueries, workers, interventions } = parts;
  return {
    listOrders: async ({ query }) => await queries.list(query),
    getOrder: async ({ params }) => {
      const view = await queries.view(params.id);
      if (view.status !== 'todo') return view;
      const queue = await placeInQueue(await queries.row(params.id), parts);
      return queue === undefined ? view : { ...view, queue };
    },
    whyOrder: async ({ params }) => await whyOf(await queries.row(params.id), database, workerQueries),
    cancelOrder: async ({ params }, call) => summaryOf(await interventions.cancel(params.id, callerOf(call))),
    retryOrder: async ({ params }, call) => summaryOf(await interventions.retry(params.id, callerOf(call))),
    listWorkers: async () => ({ items: await workerQueries.list() }),
    getQueue: async () => ({ paused: await workerQueries.paused(), counts: await queries.counts() }),
    pauseQueue: async ({ body }) => {
      await database.write(async (tx) => await workers.pause(tx, body.paused));
      return { paused: body.paused };
    },
    orderEvents: async ({ params, headers }, call) => {
      await queries.row(params.id);
      return historyOf(parts, params.id, Number(headers['last-event-id'] ?? 0), call?.signal);
    },
    orderLogEvents: async ({ params, headers }, call) => {
      await queries.row(params.id);
      return logEvents(parts, params.id, Number(headers['last-event-id'] ?? 0), call?.signal);
    },
    orderLog: async ({ params, query }, call) => {
      await queries.row(params.id);
      const chunks =
        query.follow === true ? followLog(parts, params.id, 0, call?.signal) : wholeLog(parts, params.id);
      const text = textOf(chunks, query.attempt);
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
        body: streamOf(text),
      };
    },
  };
}

function callerOf(call: Call | undefined): string {
  return call?.principal?.name ?? 'an unnamed caller';
}

async function* historyOf(
  { feed, queries }: OrderParts,
  id: string,
  from: number,
  signal: AbortSignal | undefined,
) {
  const next = async (after: number) => {
    // The state is read first: what is added between the two reads is then looked for once more.
    const { status } = await queries.row(id);
    const entries = await queries.eventsAfter(id, after);
    return { entries, position: entries.at(-1)?.n ?? after, ended: hasEnded(status) };
  };
  for await (const batch of feed.follow(id, from, next, signal)) {
    for (const { n, event } of batch) yield { id: String(n), event: event.what, data: event };
  }
}

interface Placed {
  readonly position: number;
  readonly chunk: LogChunk;
}

async function* followLog(parts: OrderParts, id: string, from: number, signal: AbortSignal | undefined) {
  const next = async (after: number) => {
    const { status } = await parts.queries.row(id);
    const entries = await parts.logs.after(id, after);
    return { entries, position: entries.at(-1)?.position ?? after, ended: hasEnded(status) };
  };
  for await (const batch of parts.feed.follow<Placed>(id, from, next, signal)) yield* batch;
}

async function* wholeLog({ logs }: OrderParts, id: string): AsyncGenerator<Placed> {
  let position = 0;
  for (;;) {
    const entries = await logs.after(id, position);
    if (entries.length === 0) return;
    yield* entries;
    position = entries.at(-1)?.position ?? position;
  }
}

async function* logEvents(
  parts: OrderParts,
  id: string,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ServerEvent<LogChunk>> {
  for await (const { position, chunk } of followLog(parts, id, from, signal)) {
    yield { id: String(position), event: 'log', data: chunk };
  }
}

async function* textOf(
  chunks: AsyncIterable<Placed>,
  attempt: number | undefined,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const { chunk } of chunks) {
    if (attempt === undefined || chunk.attempt === attempt) yield encoder.encode(chunk.text);
  }
}
