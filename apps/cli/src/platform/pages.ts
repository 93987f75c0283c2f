import { type ComputeContract, type Input, type OrderSummary, PAGE } from '@morpheo/common';
import type { Context } from '../context.ts';

/** What {@link orderPages} may be asked for. */
export type OrderQuery = Input<ComputeContract['endpoints']['listOrders']>['query'];

/** A page of a list, and the cursor of the next one where there is one. */
interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
  readonly next?: string | undefined;
}

/** All orders that fit `query`, page by page, newest first. */
export function orderPages(
  { compute, signal }: Context,
  query: OrderQuery,
): AsyncGenerator<Page<OrderSummary>> {
  return pages(
    (cursor) => compute().listOrders({ query: { limit: PAGE.most, ...query, cursor } }, { signal }),
    query.cursor,
  );
}

/** All pages of a list, one after the other: `read` fetches the page at a cursor, `first` is where to begin. */
export async function* pages<P extends { readonly next?: string | undefined }>(
  read: (cursor: string | undefined) => Promise<P>,
  first?: string,
): AsyncGenerator<P> {
  let cursor = first;
  do {
    const page = await read(cursor);
    yield page;
    cursor = page.next;
  } while (cursor !== undefined);
}
