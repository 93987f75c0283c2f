import {
  type Api,
  type ComputeContract,
  type Input,
  type OrderSummary,
  PAGE,
  type Resource,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';

/** A page of a list, and how many there are in all. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
}

/** What {@link orderPages} may be asked for. */
export type OrderQuery = Input<ComputeContract['endpoints']['listOrders']>['query'];

/** All orders that fit `query`, page by page, newest first. */
export async function* orderPages(
  compute: Api<ComputeContract>,
  query: OrderQuery,
  signal: AbortSignal,
): AsyncGenerator<Page<OrderSummary>> {
  let cursor = query.cursor;
  do {
    const page = await compute.listOrders({ query: { limit: PAGE.most, ...query, cursor } }, { signal });
    yield page;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** All things of a type that storage keeps, page by page, newest first. */
export async function* resourcePages(
  storage: Api<StorageContract>,
  type: ResourceType,
  signal: AbortSignal,
): AsyncGenerator<Page<Resource>> {
  let cursor: string | undefined;
  do {
    const page = await storage.list({ params: { type }, query: { limit: PAGE.most, cursor } }, { signal });
    yield page;
    cursor = page.next;
  } while (cursor !== undefined);
}
