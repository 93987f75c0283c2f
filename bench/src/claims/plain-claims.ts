import type { PostgresTarget } from '@morpheo/real-parts';
import { Client } from 'pg';
import { type Rate, rateOf } from '../bench.ts';

/** The oldest row that nobody else is just taking, in one statement, which is a transaction. */
const TAKE = `
  update orders set status = 'pending', attempt = attempt + 1
  where id = (
    select id from orders where status = 'todo' and kind = 'learn' and needs = '' and asks_gpus = 0
    order by needs, asks_gpus, owner, turn_at limit 1 for no key update skip locked)
  returning *`;

/** Takes due orders by so many connections at once for `ms` milliseconds: what PostgreSQL hands out to callers who do nothing else. */
export async function takePlainly(
  target: PostgresTarget,
  { connections, ms }: { readonly connections: number; readonly ms: number },
): Promise<Rate> {
  const clients = Array.from({ length: connections }, () => new Client({ ...target, ssl: false }));
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const take = async (client: Client) => {
      const { rowCount } = await client.query({ name: 'take', text: TAKE });
      if (rowCount !== 1) throw new Error('The queue has come to its end');
    };
    return await rateOf(
      clients.map((client) => async () => await take(client)),
      ms,
    );
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}
