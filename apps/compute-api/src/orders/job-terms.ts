import type { Job } from '@morpheo/common';
import type { Tx } from '../db/database.ts';

/** Keeps by what a job is found: its labels, and the outputs of other jobs that it names. Of a job that was just added. */
export async function keepJobTerms(
  { db }: Pick<Tx, 'db'>,
  { uuid: order_id, labels = {}, inputs = [] }: Job,
): Promise<void> {
  const named = Object.entries(labels).map(([name, value]) => ({ label: `${name}=${value}`, order_id }));
  if (named.length > 0) await db.insertInto('order_labels').values(named).execute();
  const outputs = inputs.flatMap(({ resource }) => (resource?.type === 'output' ? resource.uuid : []));
  const used = [...new Set(outputs)].map((output) => ({ output, order_id }));
  if (used.length > 0) await db.insertInto('order_inputs').values(used).execute();
}

/** Forgets that of jobs which are removed. */
export async function forgetJobTerms({ db }: Pick<Tx, 'db'>, orders: readonly string[]): Promise<void> {
  await db.deleteFrom('order_labels').where('order_id', 'in', orders).execute();
  await db.deleteFrom('order_inputs').where('order_id', 'in', orders).execute();
}
