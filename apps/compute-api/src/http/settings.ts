import type { Api, ComputeContract } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { checkSetsDefaults, listOwners, setWeight, weightOf } from '../owners/owners.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  'listOwners' | 'getOwner' | 'setOwner' | 'getProblemDefaults' | 'setProblemDefaults'
>;

/** The handlers of what operators set: the owners' weights, and what orders of a problem ask for by default. */
export function settingHandlers(database: ComputeDatabase): Handlers {
  return {
    listOwners: async ({ query }) => await listOwners(database, query),
    getOwner: async ({ params }) => ({ weight: await weightOf(database, params.owner) }),
    setOwner: async ({ params, body: { weight } }) => {
      await setWeight(database, params.owner, weight);
      return { weight };
    },
    getProblemDefaults: async ({ params }) => {
      const row = await database.read
        .selectFrom('problem_defaults')
        .select('gpus')
        .where('problem', '=', params.problem)
        .executeTakeFirst();
      return { gpus: row?.gpus ?? 0 };
    },
    // They are applied where an order is inserted.
    setProblemDefaults: async ({ params, body: { gpus } }, call) => {
      checkSetsDefaults(call?.principal);
      await database.write(async ({ db }) => {
        await db
          .insertInto('problem_defaults')
          .values({ problem: params.problem, gpus })
          .onConflict((conflict) => conflict.column('problem').doUpdateSet({ gpus }))
          .execute();
      });
      return { gpus };
    },
  };
}
