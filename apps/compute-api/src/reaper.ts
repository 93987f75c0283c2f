import type { Database } from '@morpheo/service/database';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import type { Attempts } from './attempts.ts';
import type { OrderStore } from './order-store.ts';
import type { OrderRow, Schema } from './schema.ts';

/** Starts to take orders back, every `everyMs`, from workers whose lease has run out. */
export function startReaper(options: {
  database: Database<Schema>;
  store: OrderStore;
  attempts: Attempts;
  everyMs: number;
  log: Log;
  changed: (order: string) => void;
  /** Called with how many orders were taken back at once. */
  tookOver: (orders: number) => void;
}): Loop {
  const { database, store, attempts, everyMs, log, changed, tookOver } = options;
  return startLoop({
    name: 'reaper',
    everyMs,
    log,
    work: async () => {
      let lost: OrderRow[];
      do {
        lost = await database.write(async (tx) => {
          const overdue = await store.takeRunning(tx, { overdue: true });
          await attempts.lose(tx, overdue, 'it did not renew its lease in time');
          return overdue;
        });
        if (lost.length > 0) tookOver(lost.length);
        for (const order of lost) {
          log.warn(
            { order: order.id, attempt: order.attempt, worker: order.worker },
            'A lease ran out; the order is taken back',
          );
          changed(order.id);
        }
      } while (lost.length > 0);
    },
  });
}
