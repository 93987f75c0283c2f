import { randomUUID } from 'node:crypto';
import { type Failure, NIL_UUID } from '@morpheo/common';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { policyOf } from '../disclosure/shown.ts';
import { kindOf } from './kinds.ts';
import { insertOrders, type NewOrder, specOf } from './store.ts';

/** An algorithm is tried so often at the most, however often it fails. */
const EVERY_MS = 3_600_000;

/**
 * Places an order of the same algorithm on the public sample of the problem, where a training over hidden data has
 * failed: its author may read that log. Nothing where the problem has none, the algorithm was not at fault, or it was
 * tried within the last hour.
 */
export async function trySample(tx: Tx, failed: OrderRow, failure: Failure): Promise<void> {
  const { hidden, sample } = policyOf(failed);
  const spec = specOf(failed);
  const { step, reason } = failure;
  if (!hidden || sample === undefined || spec.kind !== 'learn' || reason === 'withheld') return;
  if (step !== 'train' && step !== 'perf' && step !== 'results') return;
  if (!(await isDue(tx, spec.uplet.algo))) return;
  const ids = { uuid: randomUUID(), model_end: randomUUID(), model_start: NIL_UUID };
  const uplet = { ...spec.uplet, ...ids, ...sample, rank: 0, status: 'todo', group: undefined };
  const { problem, workflow, owner, priority, needs, gpus, trace } = failed;
  const order: NewOrder = {
    ...{ id: ids.uuid, kind: 'learn', status: 'waiting', spec: JSON.stringify({ kind: 'learn', uplet }) },
    // Of no order that somebody posts.
    identity: '',
    ...kindOf('learn').columnsOf({ kind: 'learn', uplet }),
    ...{
      problem,
      workflow,
      owner,
      priority,
      needs,
      gpus,
      trace,
      waits_for: null,
      ahead_ms: 0,
      sample_of: failed.id,
    },
    // Nobody posted it: it is in no group.
    group_name: null,
  };
  await insertOrders(tx, [order]);
}

/** Notes that an algorithm is tried now; false where it was within the last hour. */
async function isDue({ db, now }: Tx, algo: string): Promise<boolean> {
  const { numAffectedRows } = await sql`
    insert into samples (algo, placed_at) values (${algo}, ${now})
    on conflict (algo) do update set placed_at = excluded.placed_at
    where samples.placed_at <= excluded.placed_at - ${sql.lit(EVERY_MS)}`.execute(db);
  return numAffectedRows === 1n;
}
