import type { PostgresTarget } from '@morpheo/real-parts';
import { Client } from 'pg';
import { percentile } from '../bench.ts';

/** The oldest row that nobody else is just taking, in one statement, which is a transaction. */
const TAKE = `
  update orders set status = 'pending', attempt = attempt + 1
  where id = (
    select id from orders where status = 'todo' and kind = 'learn' and needs = '' and asks_gpus = 0
    order by needs, asks_gpus, owner, turn_at limit 1 for no key update skip locked)
  returning *`;

/** What came of plain claims; milliseconds from a statement to its answer. */
export interface Taken {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Takes due orders by so many connections at once for `ms` milliseconds: what PostgreSQL hands out to callers who do nothing else. */
export async function takePlainly(
  target: PostgresTarget,
  { connections, ms }: { readonly connections: number; readonly ms: number },
): Promise<Taken> {
  const clients = Array.from({ length: connections }, () => new Client({ ...target, ssl: false }));
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const latencies: number[] = [];
    const started = performance.now();
    await Promise.all(
      clients.map(async (client) => {
        for (let now = performance.now(); now < started + ms; ) {
          const { rowCount } = await client.query({ name: 'take', text: TAKE });
          if (rowCount !== 1) throw new Error('The queue has come to its end');
          const answered = performance.now();
          latencies.push(answered - now);
          now = answered;
        }
      }),
    );
    const seconds = (performance.now() - started) / 1000;
    return {
      perSecond: latencies.length / seconds,
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
    };
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}
