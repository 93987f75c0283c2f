import type { OrderSummary } from '@morpheo/common';
import { RESOURCE_TYPES } from '@morpheo/common';
import { digestOf } from './resources.ts';
import type { StoredServices } from './services.ts';

/** What the APIs answer of stored data, as far as it does not change by itself. */
export type Description = Awaited<ReturnType<typeof describe>>;

/** Reads all of it; `upload` is the resumable upload that is not at its end. */
export async function describe(services: StoredServices, upload: string) {
  const { compute, storage } = services;
  const orders = await allOrders(services);
  const shown = samplesOf(orders);
  const samples: unknown[] = [];
  for (const { id, ended_at } of shown) samples.push(await sampleOf(services, id, ended_at !== undefined));
  const { items: workers } = await compute.listWorkers({});
  const head = await storage.headUpload({ params: { upload }, headers: { 'tus-resumable': '1.0.0' } });
  return {
    counts: countsOf(orders.map(({ kind, status, failure }) => `${kind} ${status} ${failure?.reason ?? ''}`)),
    orders: inOrder(orders.map(lineOf), (line) => line),
    samples,
    owners: (await compute.listOwners({ query: {} })).items.map(({ share: _, ...owner }) => owner),
    defaults: await defaultsOf(services, orders),
    queue: await compute.getQueue({}),
    workers: inOrder(workers, ({ id }) => id).map(
      ({ alive: _alive, last_seen_at: _seen, running, ...worker }) => ({
        ...worker,
        running: inOrder(running, ({ order }) => order),
      }),
    ),
    resources: await resourcesOf(services),
    usage: await storage.usage({}),
    upload: { id: upload, offset: head.headers['upload-offset'], length: head.headers['upload-length'] },
  };
}

async function allOrders({ compute }: StoredServices): Promise<OrderSummary[]> {
  const orders: OrderSummary[] = [];
  let cursor: string | undefined;
  do {
    const { items, next } = await compute.listOrders({ query: { limit: 100, cursor } });
    orders.push(...items);
    cursor = next;
  } while (cursor !== undefined);
  return orders;
}

/** One order of each kind, state, reason and number of attempts. */
function samplesOf(orders: readonly OrderSummary[]): OrderSummary[] {
  const keyOf = ({ kind, status, failure, attempt }: OrderSummary): string =>
    [kind, status, failure?.reason, attempt].join(' ');
  return [...new Map(orders.map((order) => [keyOf(order), order])).values()];
}

async function sampleOf({ compute }: StoredServices, id: string, ended: boolean) {
  // Where it stands in the queue is an estimate, from now on.
  const { queue: _, ...order } = await compute.getOrder({ params: { id } });
  const { body } = await compute.orderLog({ params: { id }, query: {} });
  const log = body === undefined ? '' : await new Response(body).text();
  const events: unknown[] = [];
  // Those of an order that has not ended would go on for ever.
  if (ended) {
    for await (const { data } of await compute.orderEvents({ params: { id }, headers: {} }))
      events.push(data);
  }
  return { order, log, events };
}

async function defaultsOf({ compute }: StoredServices, orders: readonly OrderSummary[]) {
  const problems = [...new Set(orders.flatMap(({ problem }) => problem ?? []))];
  const all: Record<string, number> = {};
  for (const problem of problems) {
    all[problem] = (await compute.getProblemDefaults({ params: { problem } })).gpus;
  }
  return all;
}

/** Everything of every type, with the digest of the bytes that come. */
async function resourcesOf(services: StoredServices) {
  const all: Record<string, unknown[]> = {};
  for (const type of RESOURCE_TYPES) {
    const found: unknown[] = [];
    let cursor: string | undefined;
    do {
      const { items, next } = await services.storage.list({
        params: { type },
        query: { limit: 100, cursor },
      });
      for (const item of items) found.push({ ...item, bytes: await digestOf(services, type, item.uuid) });
      cursor = next;
    } while (cursor !== undefined);
    all[type] = found;
  }
  return all;
}

function lineOf({ id, kind, status, failure, attempt, owner, priority, gpus, result }: OrderSummary): string {
  return [id, kind, status, failure?.reason, attempt, owner, priority, gpus, result?.sha256].join(' ');
}

function countsOf(keys: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const key of keys.toSorted()) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

function inOrder<T>(list: readonly T[], keyOf: (one: T) => string): T[] {
  return list.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}
