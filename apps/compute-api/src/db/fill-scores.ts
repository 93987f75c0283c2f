import { DEFAULT_DISCLOSURE } from '@morpheo/common';
import { type QueryExecutorProvider, sql } from 'kysely';
import { coarseScore } from '../disclosure/scores.ts';

/** How many scores are written at once. */
const SCORES_AT_ONCE = 1000;

/** What is read of an order; both are JSON that we have written. */
interface Scored {
  readonly id: string;
  readonly result: string;
  readonly pin: string | null;
}

/** The part of a step of the schema that fills in the scores of what was done before there was a column for them. */
export async function fillScores(schema: QueryExecutorProvider): Promise<void> {
  for (let after = ''; ; ) {
    const { rows } = await sql<Scored>`
      select id, result, pin from orders
      where id > ${after} and status = 'done' and kind = 'learn' and score is null and result is not null
      order by id limit ${sql.lit(SCORES_AT_ONCE)}`.execute(schema);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    const scores = rows.flatMap((row) => {
      const score = scoreOf(row);
      return score === undefined ? [] : [sql`(${row.id}, cast(${score} as double precision))`];
    });
    if (scores.length === 0) continue;
    await sql`
      update orders set score = scores.column2 from (values ${sql.join(scores)}) as scores
      where orders.id = scores.column1`.execute(schema);
  }
}

/** The score of a result as everybody may see it. */
function scoreOf({ result, pin }: Scored): number | undefined {
  const { performance } = JSON.parse(result) as { performance?: { perf: number } };
  const held = JSON.parse(pin ?? 'null') as Pinned | null;
  if (performance === undefined || held?.policy?.readers === 'everybody') return performance?.perf;
  return coarseScore(performance.perf, held?.policy?.disclosure?.digits ?? DEFAULT_DISCLOSURE.digits);
}

/** What may be known of who sees the scores. */
interface Pinned {
  readonly policy?: { readonly readers?: unknown; readonly disclosure?: { readonly digits: number } };
}
