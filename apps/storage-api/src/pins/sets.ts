import { createHash } from 'node:crypto';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';

/** What a thing is pinned as. */
export type Pinnable = Pick<ResourceRow, 'type' | 'uuid' | 'sha256' | 'size' | 'algo' | 'uploaded_at'>;

/** Things that are pinned together, and the SHA-256 of their list. */
export interface PinSet {
  readonly id: string;
  readonly things: readonly Pinnable[];
}

/** So many values are in one statement: engines bound their number. */
const MOST_VALUES = 20_000;
const COLUMNS = 7;

/** The set of these things, of which none is there twice. */
export function pinSetOf(things: readonly Pinnable[]): PinSet {
  const sorted = things.toSorted((a, b) => (a.type + a.uuid < b.type + b.uuid ? -1 : 1));
  const hash = createHash('sha256');
  for (const { type, uuid, sha256, size, algo, uploaded_at } of sorted)
    hash.update(`${type} ${uuid} ${sha256} ${size} ${algo ?? '-'} ${uploaded_at}\n`);
  return { id: hash.digest('hex'), things: sorted };
}

/**
 * Has orders hold sets, within a transaction that holds the things themselves: so their bytes stay until the last of
 * the orders lets go. Sets are taken in the order of their ids, and then the blobs of new ones in that of digests.
 */
export async function holdSets(
  transaction: StorageTransaction,
  held: ReadonlyMap<string, readonly PinSet[]>,
): Promise<void> {
  const sets = new Map([...held.values()].flat().map((set) => [set.id, set]));
  if (sets.size === 0) return;
  const rows = await transaction
    .insertInto('pin_sets')
    .values([...sets.keys()].toSorted(inOrder).map((id) => ({ id, things: 0 })))
    // Not `do nothing`, which would not hold the row that is there.
    .onConflict((conflict) => conflict.column('id').doUpdateSet((row) => ({ id: row.ref('excluded.id') })))
    .returningAll()
    .execute();
  const fresh = rows.filter(({ things }) => things === 0).map(({ id }) => id);
  await writeThings(
    transaction,
    fresh.flatMap((id) => sets.get(id) ?? []),
  );
  const members = [...held].flatMap(([order_id, own]) => own.map(({ id: set_id }) => ({ order_id, set_id })));
  await transaction.insertInto('pin_members').values(members).execute();
}

async function writeThings(transaction: StorageTransaction, sets: readonly PinSet[]): Promise<void> {
  if (sets.length === 0) return;
  const rows = sets
    .flatMap(({ id: set_id, things }) =>
      things.map(({ type, uuid, sha256, size, algo, uploaded_at }) => ({
        ...{ set_id, type, uuid, sha256, size, algo, uploaded_at },
      })),
    )
    .toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
  for (const some of chunksOf(rows, Math.floor(MOST_VALUES / COLUMNS)))
    await transaction.insertInto('pinned').values(some).execute();
  await transaction
    .updateTable('pin_sets')
    .set(({ selectFrom }) => ({
      things: selectFrom('pinned')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .whereRef('pinned.set_id', '=', 'pin_sets.id'),
    }))
    .where(
      'id',
      'in',
      sets.map(({ id }) => id),
    )
    .execute();
}

/**
 * Has orders let go of their sets, within a transaction; those that nobody holds any more are forgotten. Returns the
 * digests of what was in these: nothing may refer to them since.
 */
export async function releaseSets(
  transaction: StorageTransaction,
  orders: readonly string[],
): Promise<string[]> {
  // First, so that what the next statements see of members is what was committed by whoever held the rows.
  const sets = await transaction
    .selectFrom('pin_sets')
    .select('id')
    .where('id', 'in', (members) =>
      members
        .selectFrom('pin_members')
        .select('set_id')
        .where('order_id', 'in', [...orders]),
    )
    .orderBy('id')
    .forUpdate()
    .execute();
  if (sets.length === 0) return [];
  await transaction
    .deleteFrom('pin_members')
    .where('order_id', 'in', [...orders])
    .execute();
  const gone = await transaction
    .deleteFrom('pin_sets')
    .where(
      'id',
      'in',
      sets.map(({ id }) => id),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(selectFrom('pin_members').select('set_id').whereRef('pin_members.set_id', '=', 'pin_sets.id')),
      ),
    )
    .returning('id')
    .execute();
  if (gone.length === 0) return [];
  const things = await transaction
    .deleteFrom('pinned')
    .where(
      'set_id',
      'in',
      gone.map(({ id }) => id),
    )
    .returning('sha256')
    .execute();
  return [...new Set(things.map(({ sha256 }) => sha256))];
}

/** Ids and digests in the order in which they are taken. */
export function inOrder(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** A list in pieces of at most `size`. */
export function chunksOf<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}
