import { sql } from 'kysely';
import { type Beside, runTogether, type Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';
import { handOver, specOf } from '../orders/store.ts';
import { type Effect, laneOf } from '../outbox/effects.ts';
import type { WorkerProcess } from '../workers/store.ts';
import { NOT_RESERVED } from './gpu-reservation.ts';
import { NOT_WAITED_FOR } from './isolation.ts';
import { leaseUntil } from './lease.ts';

/** A due order, locked, and the process that is to run it. */
export interface Start {
  readonly order: OrderRow;
  readonly by: Pick<WorkerProcess, 'id' | 'boot'>;
}

/**
 * Begins the next attempt of due orders that this transaction has locked; they are different. As many statements as there
 * are tables, however many orders there are. Returns the orders as they are now, in their order.
 */
export async function startAttempts(tx: Tx, starts: readonly Start[], leaseMs: number): Promise<OrderRow[]> {
  if (starts.length === 0) return [];
  const { now } = tx;
  const rows = starts.map(({ order, by }) => {
    const effects = order.attempt === 0 ? takenBy(tx, order, by.id) : [];
    const { id, attempt, events } = order;
    const details = JSON.stringify({ worker: by.id });
    const next = { id, attempt: attempt + 1, worker: by.id, boot: by.boot, n: events + 1, details };
    return { order, effects, next: { ...next, effects: order.effects + effects.length } };
  });
  const posted = rowsOf(
    tx,
    ATTEMPT,
    rows.map(({ next }) => next),
  );
  const unset = Object.keys({ ...NOT_RESERVED, ...NOT_WAITED_FOR }).map(
    (column) => sql`${sql.ref(column)} = null`,
  );
  const change = sql<Pick<OrderRow, 'id' | 'lease_until' | 'started_at'>>`
    update orders set status = 'pending', attempt = posted.attempt, worker = posted.worker, boot = posted.boot,
      lease_until = ${leaseUntil(tx, leaseMs)}, publish_after = null, ${sql.join(unset)},
      started_at = coalesce(orders.started_at, ${now}), events = posted.n, effects = posted.effects
    from ${posted} where orders.id = posted.id
    returning orders.id as id, orders.lease_until as lease_until, orders.started_at as started_at`;
  const entries = sql`
    insert into events (order_id, n, at, attempt, what, status, details)
    select id, n, ${now}, attempt, 'claimed', 'pending', details from ${posted}`;
  const attempts = sql`
    insert into attempts (order_id, attempt, worker, boot, started_at, log_bytes, metrics, noted)
    select id, attempt, worker, boot, ${now}, 0, 0, 0 from ${posted}`;
  const changed = await runTogether(tx, change, [entries, attempts, ...effectsOf(tx, rows)]);
  const times = new Map(changed.map((row) => [row.id, row]));
  return rows.map(({ order, effects: its, next }) => {
    const { attempt, worker, boot, n: events, effects } = next;
    const { lease_until, started_at } = times.get(order.id) ?? gone(order);
    const set = { status: 'pending', attempt, worker, boot, events, effects, publish_after: null } as const;
    const started = { ...order, ...set, ...NOT_RESERVED, ...NOT_WAITED_FOR, lease_until, started_at };
    tx.changes.push({ event: 'claimed', order: started, ran: false });
    // The first of its lane: the orchestrator has not been told of an order before its first attempt.
    handOver(tx, started, order.effects, its, () => true);
    return started;
  });
}

function effectsOf(
  tx: Tx,
  rows: readonly { readonly order: OrderRow; readonly effects: readonly Effect[] }[],
): Beside[] {
  const effects = rows.flatMap(({ order, effects: its }) =>
    its.map((effect, index) => ({
      ...{ order_id: order.id, n: order.effects + index + 1, lane: laneOf(effect) },
      effect: JSON.stringify(effect),
    })),
  );
  if (effects.length === 0) return [];
  const added = sql`
    insert into outbox (order_id, n, lane, effect, due_at, created_at, tries)
    select order_id, n, lane, effect, ${tx.now} + ${sql.lit(tx.outgoing.holdMs)}, ${tx.now}, 0
    from ${rowsOf(tx, EFFECT, effects)}`;
  return [added];
}

/** Tells the orchestrator, if it knows such orders; by its own name for the worker, where the originals put one into it. */
function takenBy({ lanes }: Tx, order: OrderRow, worker: string): Effect[] {
  const { kind, uplet } = specOf(order);
  if (kind === 'job' || order.sample_of !== null || !lanes.includes('orchestrator')) return [];
  const isNamed = !/^[0-]*$/.test(uplet.worker);
  return [{ do: 'tell_taken', kind, worker: isNamed ? uplet.worker : worker }];
}

function gone({ id }: OrderRow): never {
  throw new Error(`The order ${id} is gone, and was locked.`);
}

const ATTEMPT: Columns<
  Pick<OrderRow, 'id' | 'attempt' | 'effects'> & { worker: string; boot: string; n: number; details: string }
> = {
  ...{ id: 'text', attempt: 'integer', worker: 'text', boot: 'text', n: 'integer', details: 'text' },
  effects: 'integer',
};
const EFFECT: Columns<{ order_id: string; n: number; lane: string; effect: string }> = {
  ...{ order_id: 'text', n: 'integer', lane: 'text', effect: 'text' },
};
