import type { Api, ComputeContract } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { listOwners } from './owner-list.ts';
import { keptOwner } from './owners.ts';
import type { Schema } from './schema.ts';

type Handlers = Pick<Api<ComputeContract>, 'listOwners' | 'getOwner' | 'setOwner'>;

/** The handlers of the owners: who they are, and their weights. */
export function ownerHandlers({ database }: { readonly database: Database<Schema> }): Handlers {
  return {
    listOwners: async ({ query }) => await listOwners(database, query),
    getOwner: async ({ params }) => {
      const row = await database.read
        .selectFrom('owners')
        .select('weight')
        .where('owner', '=', keptOwner(params.owner))
        .executeTakeFirst();
      return { weight: row?.weight ?? 1 };
    },
    setOwner: async ({ params, body: { weight } }) => {
      await database.write(async (tx) => {
        await tx
          .insertInto('owners')
          .values({ owner: keptOwner(params.owner), weight })
          .onConflict((conflict) => conflict.column('owner').doUpdateSet({ weight }))
          .execute();
      });
      return { weight };
    },
  };
}
