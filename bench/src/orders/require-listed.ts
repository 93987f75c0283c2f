import { computeClient } from '@morpheo/client';
import { PAGE } from '@morpheo/common';

/** Throws where the list of compute-api holds anything but exactly these orders. */
export async function requireListed(url: string, ids: readonly string[]): Promise<void> {
  const missing = new Set(ids);
  const compute = computeClient({ url });
  let cursor: string | undefined;
  do {
    const page = await compute.listOrders({ query: { limit: PAGE.most, cursor } });
    for (const { id } of page.items) {
      if (!missing.delete(id)) throw new Error(`The list holds the order ${id} twice, or nobody ordered it`);
    }
    cursor = page.next;
  } while (cursor !== undefined);
  if (missing.size > 0)
    throw new Error(`${missing.size} of ${ids.length} accepted orders are not in the list`);
}
