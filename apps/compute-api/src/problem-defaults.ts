import type { Api, ComputeContract } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Schema } from './schema.ts';

type Handlers = Pick<Api<ComputeContract>, 'getProblemDefaults' | 'setProblemDefaults'>;

/** The handlers of what orders of a problem ask for where they do not say; it is applied where an order is added. */
export function problemDefaultsHandlers({ database }: { readonly database: Database<Schema> }): Handlers {
  return {
    getProblemDefaults: async ({ params }) => {
      const row = await database.read
        .selectFrom('problem_defaults')
        .select('gpus')
        .where('problem', '=', params.problem)
        .executeTakeFirst();
      return { gpus: row?.gpus ?? 0 };
    },
    setProblemDefaults: async ({ params, body: { gpus } }) => {
      await database.write(async (tx) => {
        await tx
          .insertInto('problem_defaults')
          .values({ problem: params.problem, gpus })
          .onConflict((conflict) => conflict.column('problem').doUpdateSet({ gpus }))
          .execute();
      });
      return { gpus };
    },
  };
}
