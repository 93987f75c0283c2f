import { randomUUID } from 'node:crypto';
import { learnuplet } from '@morpheo/common';
import { migrations, type Schema } from '@morpheo/compute-api';
import { type DatabasePlace, openDatabase } from '@morpheo/service/database';
import { sql } from 'kysely';

/** What a queue holds. */
export interface QueueSize {
  readonly due: number;
  /** Whose the due orders are, in turns. */
  readonly owners: number;
  /** Orders that have ended before. */
  readonly ended: number;
}

/** Fills a new database of compute-api with learn orders that are due, and with others that have ended, at once. */
export async function seedQueue(target: DatabasePlace, { due, owners, ended }: QueueSize): Promise<void> {
  await using database = await openDatabase<Schema>(target, { owner: 'compute_api', migrations });
  const uplet = learnuplet.parse({
    ...{ uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), algo: randomUUID() },
    ...{ model_end: randomUUID(), train_data: [randomUUID()], test_data: [randomUUID()], status: 'todo' },
  });
  const spec = JSON.stringify({ kind: 'learn', uplet });
  for (const [status, count] of [
    ['todo', due],
    ['done', ended],
  ] as const) {
    const at = sql`${database.now} - 100000000 + n.i`;
    await database.write(async (tx) => {
      await sql`
        insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model_end, owner, turn_at, attempt,
          charged, publishes, events, effects, due_at, created_at, ended_at)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < ${sql.lit(count)})
        select cast(${`${randomUUID().slice(0, 24)}`} as text) || substr('000000000000' || cast(n.i as text), -12),
          'learn', ${sql.lit(status)}, cast(${spec} as text), '', cast(${uplet.problem} as text),
          cast(${uplet.workflow} as text), cast(${uplet.algo} as text), cast(n.i as text),
          'owner-' || cast(n.i % ${sql.lit(owners)} as text), ${at}, 0, 0, 0, 0, 0, ${at}, ${at},
          ${status === 'done' ? at : sql`null`}
        from n where n.i <= ${sql.lit(count)}`.execute(tx);
    });
  }
  if (database.engine === 'postgres') await sql`analyze`.execute(database.read);
}

/** How many attempts were begun, in a database that nobody else has open. */
export async function attemptsIn(target: DatabasePlace): Promise<number> {
  await using database = await openDatabase<Schema>(target, { owner: 'compute_api', migrations });
  const { n } = await database.read
    .selectFrom('attempts')
    .select((row) => row.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return Number(n);
}
