import type { Job } from '@morpheo/common';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import { rowsOf } from '../db/rows.ts';

/** Keeps by what jobs are found: their labels, and the outputs of other jobs that they name. Of jobs that were just added. */
export async function keepJobTerms(tx: Tx, jobs: readonly Job[]): Promise<void> {
  const named = jobs.flatMap(({ uuid: order_id, labels = {} }) =>
    Object.entries(labels).map(([name, value]) => ({ label: `${name}=${value}`, order_id })),
  );
  if (named.length > 0) {
    const rows = rowsOf(tx, { label: 'text', order_id: 'text' }, named);
    await sql`insert into order_labels (label, order_id) select label, order_id from ${rows}`.execute(tx.db);
  }
  const used = jobs.flatMap(({ uuid: order_id, inputs = [] }) => {
    const outputs = inputs.flatMap(({ resource }) => (resource?.type === 'output' ? resource.uuid : []));
    return [...new Set(outputs)].map((output) => ({ output, order_id }));
  });
  if (used.length > 0) {
    const rows = rowsOf(tx, { output: 'text', order_id: 'text' }, used);
    await sql`insert into order_inputs (output, order_id) select output, order_id from ${rows}`.execute(
      tx.db,
    );
  }
}

/** Forgets that of jobs which are removed. */
export async function forgetJobTerms({ db }: Pick<Tx, 'db'>, orders: readonly string[]): Promise<void> {
  await db.deleteFrom('order_labels').where('order_id', 'in', orders).execute();
  await db.deleteFrom('order_inputs').where('order_id', 'in', orders).execute();
}
