import { ANONYMOUS, type Api, type Call, type ComputeContract, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Schema } from './schema.ts';

/** The owner as it is kept: empty for orders that came without credentials. */
export function keptOwner(name: string): string {
  return name === ANONYMOUS ? '' : name;
}

/** The owner as people see it. */
export function shownOwner(owner: string): string {
  return owner === '' ? ANONYMOUS : owner;
}

/**
 * On whose share an order is run, as it is kept: who calls, unless the order names another. Throws `forbidden` where a
 * caller names another that is neither orchestrator nor admin.
 */
export function ownerOf(named: string | undefined, principal: Call['principal']): string {
  const caller = keptOwner(principal?.name ?? ANONYMOUS);
  if (named === undefined || keptOwner(named) === caller) return caller;
  if (principal?.roles.some((role) => role === 'orchestrator' || role === 'admin')) return keptOwner(named);
  throw new PlatformError(
    'forbidden',
    `${shownOwner(caller)} may not order for ${named}: it takes the role orchestrator or admin. Leave out the owner.`,
  );
}

type Handlers = Pick<Api<ComputeContract>, 'getOwner' | 'setOwner'>;

/** The handlers of the owners' weights. */
export function ownerHandlers({ database }: { readonly database: Database<Schema> }): Handlers {
  return {
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
