import { PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Endings } from './endings.ts';
import { type OrderStore, specOf } from './order-store.ts';
import { startModelOf, startOf } from './place.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';

/** What people do to orders. */
export interface Interventions {
  /** Ends an order that has not ended; again: nothing changes. Throws `not_found`, `wrong_state`. */
  cancel(id: string, by: string): Promise<OrderRow>;
  /** Makes a failed or cancelled order due again, with all its attempts before it. Throws `not_found`, `wrong_state`. */
  retry(id: string, by: string): Promise<OrderRow>;
}

/** Makes the {@link Interventions}; `changed` and `cancelled` are called after the commit. */
export function createInterventions(options: {
  database: Database<Schema>;
  store: OrderStore;
  endings: Endings;
  changed: (order: string) => void;
  cancelled: (order: string) => void;
}): Interventions {
  const { database, store, endings } = options;

  async function cancelIn(tx: Tx, id: string, by: string): Promise<{ row: OrderRow; ran: boolean }> {
    const order = existing(await store.take(tx, id), id);
    if (order.status === 'cancelled') return { row: order, ran: false };
    if (order.status === 'done' || order.status === 'failed') {
      throw new PlatformError(
        'wrong_state',
        `Order ${id} is ${order.status}: it has ended and cannot be cancelled.`,
      );
    }
    if (order.status === 'pending' && order.lease_until === null) {
      throw new PlatformError('wrong_state', `Order ${id} has its result already, which is being published.`);
    }
    const failure = { reason: 'cancelled', message: `Cancelled by ${by}.` } as const;
    const row = await endings.end(tx, order, { status: 'cancelled', failure });
    if (order.lease_until === null) return { row, ran: false };
    await tx
      .updateTable('attempts')
      .set({ outcome: 'cancelled', ended_at: database.now })
      .where('order_id', '=', id)
      .where('attempt', '=', order.attempt)
      .execute();
    return { row, ran: true };
  }

  return {
    async cancel(id, by) {
      const { row, ran } = await database.write(async (tx) => await cancelIn(tx, id, by));
      options.changed(id);
      if (ran) options.cancelled(id);
      return row;
    },

    async retry(id, by) {
      const row = await database.write(async (tx) => {
        const order = existing(await store.take(tx, id), id);
        if (order.status !== 'failed' && order.status !== 'cancelled') {
          throw new PlatformError(
            'wrong_state',
            `Order ${id} is ${order.status}: only what failed or was cancelled can be tried again.`,
          );
        }
        const start = await startOf(tx, store, startModelOf(specOf(order)));
        const fresh = {
          charged: 0,
          lost_beside: 0,
          failure: null,
          ended_at: null,
          worker: null,
          boot: null,
          publishes: 0,
        };
        const due = { due_at: database.now, publish_after: start.status === 'todo' ? database.now : null };
        return await store.change(
          tx,
          order,
          { ...fresh, ...due, ...start },
          { what: 'retried', details: { by } },
        );
      });
      options.changed(id);
      return row;
    },
  };
}

function existing(order: OrderRow | undefined, id: string): OrderRow {
  if (order === undefined) throw new PlatformError('not_found', `There is no order ${id}.`);
  return order;
}
