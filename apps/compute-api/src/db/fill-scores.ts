import { type QueryExecutorProvider, sql } from 'kysely';

/** How many scores are written at once. */
const SCORES_AT_ONCE = 1000;

/** The part of a step of the schema that writes the scores of the models which are there into their column. */
export async function fillScores(schema: QueryExecutorProvider): Promise<void> {
  for (let after = ''; ; ) {
    const { rows } = await sql<{ id: string; result: string }>`
      select id, result from orders
      where id > ${after} and status = 'done' and kind = 'learn' and sample_of is null and result is not null
      order by id limit ${sql.lit(SCORES_AT_ONCE)}`.execute(schema);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    const scores = rows.flatMap(({ id, result }) => {
      // Written by ourselves.
      const { performance } = JSON.parse(result) as { performance?: { perf: number } };
      return performance === undefined ? [] : [sql`(${id}, cast(${performance.perf} as double precision))`];
    });
    if (scores.length === 0) continue;
    await sql`
      update orders set perf = scores.column2 from (values ${sql.join(scores)}) as scores
      where orders.id = scores.column1`.execute(schema);
  }
}
