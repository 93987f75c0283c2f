import type { Failure, OrderResult } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Effect } from './effects.ts';
import type { OrderStore } from './order-store.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';

/** How an order ends. */
export type Ending =
  | { readonly status: 'done' }
  | { readonly status: 'failed' | 'cancelled'; readonly failure: Failure };

/** Ends orders, and with each what depends on it. */
export interface Endings {
  /**
   * Ends an order that this transaction holds: its row, its history, the orchestrator's message, what its attempts
   * staged. Orders that wait for its model become `todo`, or fail as well. Returns the order as it is now.
   */
  end(tx: Tx, order: OrderRow, ending: Ending): Promise<OrderRow>;
}

/** Makes the {@link Endings}; `tell`: whether there is an orchestrator to tell. */
export function createEndings(options: {
  database: Database<Schema>;
  store: OrderStore;
  tell: boolean;
}): Endings {
  const { database, store, tell } = options;

  async function endOne(tx: Tx, order: OrderRow, ending: Ending): Promise<OrderRow> {
    const failure = ending.status === 'done' ? null : ending.failure;
    return await store.change(
      tx,
      order,
      {
        status: ending.status,
        ended_at: database.now,
        lease_until: null,
        publish_after: null,
        waits_for: null,
        alone: 0,
        alone_on: null,
        failure: failure === null ? null : JSON.stringify(failure),
        ...(failure === null ? {} : { result: null }),
      },
      { what: ending.status, details: failure === null ? {} : { failure } },
      effectsOf(order, ending, tell),
    );
  }

  async function release(tx: Tx, waiting: OrderRow): Promise<void> {
    await store.change(
      tx,
      waiting,
      { status: 'todo', waits_for: null, due_at: database.now, publish_after: database.now },
      { what: 'ready', details: { model: waiting.model_start ?? waiting.model } },
    );
  }

  return {
    async end(tx, order, ending) {
      const ended = await endOne(tx, order, ending);
      const queue = await store.takeWaiting(tx, order.id);
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        if (ending.status === 'done') {
          await release(tx, next);
          continue;
        }
        await endOne(tx, next, { status: 'failed', failure: withoutModel(next, order.id) });
        queue.push(...(await store.takeWaiting(tx, next.id)));
      }
      return ended;
    },
  };
}

function effectsOf(order: OrderRow, ending: Ending, tell: boolean): Effect[] {
  const effects: Effect[] = [];
  if (ending.status !== 'done' && order.attempt > 0) effects.push({ do: 'discard_results' });
  if (tell) effects.push(messageOf(order, ending));
  return effects;
}

function messageOf(order: OrderRow, ending: Ending): Effect {
  const result = ending.status === 'done' ? (JSON.parse(order.result ?? 'null') as OrderResult | null) : null;
  if (order.kind === 'learn') {
    const performance = result?.performance;
    if (performance === undefined) return { do: 'tell_learn', body: { status: 'failed' } };
    return { do: 'tell_learn', body: { ...performance, status: 'done' } };
  }
  if (result === null) return { do: 'tell_predict', body: { status: 'failed' } };
  return { do: 'tell_predict', body: { status: 'done', prediction_storage_uuid: result.uuid } };
}

function withoutModel(order: OrderRow, maker: string): Failure {
  const model = order.model_start ?? order.model ?? '';
  return {
    reason: 'input_not_found',
    message: `The model ${model} will not be made: order ${maker}, which should make it, has not succeeded. Retry that order, then this one.`,
    step: 'inputs',
  };
}
