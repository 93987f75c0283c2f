import { isPlatformError } from '@morpheo/common';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import { lossTakenBack } from '../queue/isolation.ts';
import type { WorkerProcess } from './store.ts';

/**
 * Does a call of a worker's process. Where it throws `stale_attempt`, another process has taken over the worker's id
 * while this one lived, as happens with copies of a machine: then the attempts that this one lost by that are not
 * charged to their orders. Of a process that died nobody calls, and its losses stay.
 */
export async function withTakeover<T>(
  database: ComputeDatabase,
  process: WorkerProcess,
  call: () => Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isPlatformError(error, 'stale_attempt')) {
      await database.write(async (tx) => await giveBackLost(tx, process));
    }
    throw error;
  }
}

/** Counts the lost attempts of a process as given back, each once, as far as their orders still wait or run. */
async function giveBackLost({ db }: Tx, { id, boot }: WorkerProcess): Promise<void> {
  const lost = await db
    .updateTable('attempts')
    .set({ outcome: 'released' })
    .where('worker', '=', id)
    .where('boot', '=', boot)
    .where('outcome', '=', 'lost')
    .returning('order_id')
    .execute();
  for (const { order_id } of lost) {
    const order = await db
      .selectFrom('orders')
      .selectAll()
      .where('id', '=', order_id)
      .where('status', 'in', ['waiting', 'todo', 'pending'])
      .forUpdate()
      .executeTakeFirst();
    if (order === undefined) continue;
    await db
      .updateTable('orders')
      .set(lossTakenBack(order, lost.length > 1))
      .where('id', '=', order_id)
      .execute();
  }
}
