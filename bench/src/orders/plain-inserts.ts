import { randomUUID } from 'node:crypto';
import { migrations, type Schema } from '@morpheo/compute-api';
import type { PostgresTarget } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { Client } from 'pg';
import { type Rate, rateOf } from '../bench.ts';
import { nextOrder } from './next-order.ts';

/** The rows that an order becomes, in one statement, which is a transaction: one way to the server and back. */
const INSERT = `
  with placed as (
    insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model_end, attempt, charged,
      publishes, events, effects, due_at, created_at, publish_after)
    values ($1, 'learn', 'todo', $2, $3, $4, $5, $6, $7, 0, 0, 0, 1, 0, $8, $8, $8) returning id)
  insert into events (order_id, n, at, attempt, what, status, details)
  select id, 1, $8, 0, 'accepted', 'todo', '{}' from placed`;

/** Gives an empty database the tables of compute-api. */
export async function makeTables(target: PostgresTarget): Promise<void> {
  await using _made = await openDatabase<Schema>(
    { engine: 'postgres', address: target },
    { owner: 'compute_api', migrations },
  );
}

/**
 * Puts orders into the tables of compute-api by so many connections at once, each with its next one when the last is
 * committed, for `ms` milliseconds: what PostgreSQL takes of callers who do nothing else.
 */
export async function insertPlainly(
  target: PostgresTarget,
  { connections, ms }: { readonly connections: number; readonly ms: number },
): Promise<Rate> {
  const clients = Array.from({ length: connections }, () => new Client({ ...target, ssl: false }));
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const insert = async (client: Client) => {
      await client.query({ name: 'order', text: INSERT, values: rowOf(nextOrder()) });
    };
    return await rateOf(
      clients.map((client) => async () => await insert(client)),
      ms,
    );
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

function rowOf({ id, body }: ReturnType<typeof nextOrder>): (string | number)[] {
  const others = Array.from({ length: 4 }, () => randomUUID());
  return [id, body, '0'.repeat(64), ...others, Date.now()];
}
