import { randomUUID } from 'node:crypto';
import { learnuplet, type OrderStatus } from '@morpheo/common';
import { migrations, type Schema } from '@morpheo/compute-api';
import { openSqlite } from '@morpheo/service/database';

type OrderRow = Schema['orders'];

/** How often each state is among the seeded orders: most have ended, as in a database that is in use. */
const STATES: readonly OrderStatus[] = [
  'done',
  'done',
  'done',
  'done',
  'failed',
  'done',
  'done',
  'todo',
  'done',
  'cancelled',
];
const ROWS_AT_ONCE = 500;

/** What a list is compared with. */
export type SeededOrder = Pick<OrderRow, 'id' | 'status' | 'created_at'>;

/** Fills a new database of compute-api with learn orders, a second apart, in one transaction; returns them, oldest first. */
export async function seedOrders(databaseFile: string, count: number): Promise<readonly SeededOrder[]> {
  await using database = await openSqlite<Schema>({ file: databaseFile, migrations });
  const newest = Date.now();
  const rows = Array.from({ length: count }, (_, index) => rowOf(index, newest - (count - index) * 1000));
  await database.write(async (tx) => {
    for (let from = 0; from < count; from += ROWS_AT_ONCE) {
      await tx
        .insertInto('orders')
        .values(rows.slice(from, from + ROWS_AT_ONCE))
        .execute();
    }
  });
  return rows.map(({ id, status, created_at }) => ({ id, status, created_at }));
}

function rowOf(index: number, at: number): OrderRow {
  const status = STATES[index % STATES.length] ?? 'done';
  const uplet = learnuplet.parse({
    uuid: randomUUID(),
    problem: idOf(1),
    workflow: idOf(2),
    algo: idOf(3 + (index % 8)),
    model_end: randomUUID(),
    train_data: [randomUUID()],
    test_data: [randomUUID()],
    status: 'todo',
  });
  const ended = status !== 'todo';
  return {
    id: uplet.uuid,
    kind: 'learn',
    status,
    spec: JSON.stringify({ kind: 'learn', uplet }),
    identity: '',
    problem: uplet.problem,
    workflow: uplet.workflow,
    algo: uplet.algo,
    model: null,
    model_start: null,
    model_end: uplet.model_end,
    round: 1,
    pin: null,
    gpus: 0,
    needs: '',
    asks_gpus: 0,
    owner: '',
    priority: 0,
    turn_at: at,
    trace: null,
    gpus_kept_by: null,
    attempt: ended ? 1 : 0,
    charged: ended ? 1 : 0,
    lost_beside: 0,
    alone: 0,
    alone_on: null,
    worker: null,
    boot: null,
    lease_until: null,
    due_at: at,
    // Not due while it is measured: nobody is there to be told.
    publish_after: ended ? null : at + 86_400_000,
    publishes: 0,
    waits_for: null,
    sample_of: null,
    result:
      status === 'done' ? JSON.stringify({ uuid: uplet.model_end, sha256: '0'.repeat(64), size: 1 }) : null,
    failure: null,
    group_name: null,
    score: null,
    reason: null,
    events: 1,
    effects: 0,
    created_at: at,
    started_at: ended ? at : null,
    ended_at: ended ? at : null,
  };
}

function idOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}
