import { createHash, randomUUID } from 'node:crypto';
import { ANONYMOUS, NIL_UUID, type PinAnswer, type PinRequest } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { StorageDatabase, StorageTransaction } from '../metadata/schema.ts';
import { keyOf } from '../permissions/grants.ts';
import { checkOrders, type OrderRules, type Refusal, standingOf, takenRefusal } from './check.ts';
import { type Known, keptPolicy, policyOf } from './policy.ts';
import { releasePins } from './release.ts';
import { freeIds, keepReservedIds, reserveIds } from './reserved.ts';
import { holdSets, type PinSet, pinSetOf } from './sets.ts';
import type { PinRow } from './tables.ts';
import { holdThings, modelsAlgo, type Things } from './things.ts';

/**
 * Pins orders, each by itself or not at all, in one transaction, with a number of statements that does not grow with
 * what they name. Rows are taken in this order, as by all that has to do with pins: those of orders, reserved ids,
 * things, sets, blobs; of each sort by id.
 */
export async function pinOrders(
  database: StorageDatabase,
  rules: OrderRules,
  requests: readonly PinRequest[],
): Promise<PinAnswer[]> {
  return await database.write(async (transaction) => {
    const heads = await takeHeads(transaction, requests);
    const due = requests.filter((request) => stateOf(heads.get(request.order), request) === 'due');
    const outdated = due.flatMap(({ order }) => (isLive(heads.get(order)) ? order : []));
    // What only they held is left to the collection: blobs are taken in one turn.
    await keepReservedIds(transaction, outdated);
    await releasePins(transaction, database.now, outdated);
    const { rows, refusals } = await pinDue(transaction, database.now, rules, due);
    await dropEmpty(transaction, [...refusals.keys()]);
    const inputs = await inputsOf(
      transaction,
      requests.map(({ order }) => order),
    );
    return requests.map((request): PinAnswer => {
      const { order } = request;
      const head = rows.get(order) ?? heads.get(order);
      if (head === undefined || stateOf(head, request) === 'stale') return { outcome: 'stale', order };
      return refusals.get(order) ?? answerOf(head, inputs.get(order) ?? digestOfSets([]));
    });
  });
}

/** The rows of orders, made where there are none, and held for this transaction. */
async function takeHeads(
  transaction: StorageTransaction,
  requests: readonly PinRequest[],
): Promise<ReadonlyMap<string, PinRow>> {
  const rows = await transaction
    .insertInto('pins')
    .values(byOrder(requests.map(({ order, round }) => ({ order_id: order, round }))))
    .onConflict((conflict) =>
      conflict.column('order_id').doUpdateSet((row) => ({ order_id: row.ref('excluded.order_id') })),
    )
    .returningAll()
    .execute();
  return new Map(rows.map((row) => [row.order_id, row]));
}

function byOrder<T extends { readonly order_id: string }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => (a.order_id < b.order_id ? -1 : 1));
}

function isLive(head: PinRow | undefined): boolean {
  return head !== undefined && head.pin !== null && head.released_at === null;
}

/** Whether the round of an order is pinned, is to be, or is over. */
function stateOf(head: PinRow | undefined, { round }: PinRequest): 'pinned' | 'due' | 'stale' {
  if (head === undefined || head.round < round) return 'due';
  if (head.round > round || head.released_at !== null) return 'stale';
  return head.pin === null ? 'due' : 'pinned';
}

interface MadePins {
  readonly rows: ReadonlyMap<string, PinRow>;
  readonly refusals: ReadonlyMap<string, Refusal>;
}

async function pinDue(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  rules: OrderRules,
  due: readonly PinRequest[],
): Promise<MadePins> {
  if (due.length === 0) return { rows: new Map(), refusals: new Map() };
  const wanted = due.map((request) => ({ ...request, produces: drawn(request) }));
  // Before things are taken: who stores a thing takes its id first.
  const taken = await reserveIds(
    transaction,
    wanted.map(({ order, owner, produces }) => ({ ...produces, order, owner: ownerOf(owner) })),
  );
  const things = await holdThings(transaction, wanted);
  const standing = await standingOf(transaction, rules.people, wanted, things);
  const checked = await checkOrders(transaction, rules, standing, wanted, things);
  const refusals = new Map(checked.refusals);
  const thingsOf = ({ order }: PinRequest) => checked.visible.get(order) ?? new Map();
  for (const request of wanted)
    if (taken.has(request.order) && !refusals.has(request.order))
      refusals.set(request.order, takenRefusal(request));
  const unkept = wanted.filter(({ keep_id }) => keep_id === false).map(({ order }) => order);
  await freeIds(transaction, [...refusals.keys(), ...unkept]);
  const pins = wanted
    .filter(({ order }) => !refusals.has(order))
    .map((request) => ({ request, sets: setsOf(request, thingsOf(request)) }));
  await holdSets(transaction, new Map(pins.map(({ request, sets }) => [request.order, sets])));
  const heads = pins.map(({ request, sets }) => ({
    ...headOf(request, sets, { rules, standing, things: thingsOf(request) }),
    expires_at: expiryOf(request, now),
  }));
  const rows = await writeHeads(transaction, heads);
  return { rows, refusals };
}

/** The id that an order makes; one that storage draws where it names none. */
function drawn({ produces: { type, uuid } }: PinRequest): PinRequest['produces'] {
  return { type, uuid: uuid === NIL_UUID ? randomUUID() : uuid };
}

/** Whose the result of an order is; nobody's where its owner is not known. */
function ownerOf(owner: string): string {
  return owner === ANONYMOUS ? '' : owner;
}

/** What an order uses, in sets that others are likely to use as well: the data of each use, and the rest. */
function setsOf(request: PinRequest, things: Things): PinSet[] {
  const algo = modelsAlgo(request, things);
  const uses = [...request.uses, ...(algo === undefined ? [] : [{ ...algo, as: 'algo' as const }])];
  const groups = Map.groupBy(uses, ({ as }) => (as === 'train' || as === 'test' ? as : 'rest'));
  const sets = [...groups.values()].map((group) => {
    const keys = new Set(group.map(keyOf));
    return pinSetOf([...keys].flatMap((key) => things.get(key) ?? []));
  });
  return [...new Map(sets.map((set) => [set.id, set])).values()];
}

/** What is written of a pinned order. */
type NewHead = Omit<PinRow, 'last_attempt' | 'expires_at'>;

function headOf(request: PinRequest, sets: readonly PinSet[], known: Known): NewHead {
  const { order, round, owner, kind, uses, produces } = request;
  const algo = kind === 'learn' ? uses.find(({ as }) => as === 'algo')?.uuid : undefined;
  const { problem_owner, hidden, readers, disclosure, canaries, sample } = policyOf(request, known);
  return {
    order_id: order,
    round,
    pin: digestOf(order, round, sets),
    owner: ownerOf(owner),
    algo: algo ?? null,
    produces_type: produces.type,
    produces_uuid: produces.uuid,
    problem_owner,
    hidden: hidden ? 1 : 0,
    readers: JSON.stringify(readers),
    disclosure: JSON.stringify(disclosure),
    canaries: canaries.length === 0 ? '' : JSON.stringify(canaries),
    sample: sample === undefined ? '' : JSON.stringify(sample),
    released_at: null,
  };
}

/** When what is pinned is released by itself; null where somebody says so. */
function expiryOf({ expires_seconds }: PinRequest, now: StorageDatabase['now']): RawBuilder<number> | null {
  return expires_seconds === undefined ? null : sql<number>`${now} + ${sql.lit(expires_seconds * 1000)}`;
}

/** Of orders, the digests of what they have pinned; of those that have pinned nothing, none. */
async function inputsOf(
  transaction: StorageTransaction,
  orders: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const members = await transaction
    .selectFrom('pin_members')
    .selectAll()
    .where('order_id', 'in', orders)
    .execute();
  const sets = Map.groupBy(members, ({ order_id }) => order_id);
  return new Map([...sets].map(([order, its]) => [order, digestOfSets(its.map(({ set_id }) => set_id))]));
}

function digestOfSets(ids: readonly string[]): string {
  return createHash('sha256').update(ids.toSorted().join('\n')).digest('hex');
}

function digestOf(order: string, round: number, sets: readonly PinSet[]): string {
  const ids = sets.map(({ id }) => id).toSorted();
  return createHash('sha256')
    .update([order, round, ...ids].join('\n'))
    .digest('hex');
}

async function writeHeads(
  transaction: StorageTransaction,
  heads: readonly (NewHead & { readonly expires_at: RawBuilder<number> | null })[],
): Promise<ReadonlyMap<string, PinRow>> {
  if (heads.length === 0) return new Map();
  const rows = await transaction
    .insertInto('pins')
    .values(byOrder(heads))
    .onConflict((conflict) =>
      conflict.column('order_id').doUpdateSet((row) => ({
        round: row.ref('excluded.round'),
        pin: row.ref('excluded.pin'),
        owner: row.ref('excluded.owner'),
        algo: row.ref('excluded.algo'),
        produces_type: row.ref('excluded.produces_type'),
        produces_uuid: row.ref('excluded.produces_uuid'),
        problem_owner: row.ref('excluded.problem_owner'),
        hidden: row.ref('excluded.hidden'),
        readers: row.ref('excluded.readers'),
        disclosure: row.ref('excluded.disclosure'),
        canaries: row.ref('excluded.canaries'),
        sample: row.ref('excluded.sample'),
        released_at: null,
        expires_at: row.ref('excluded.expires_at'),
      })),
    )
    .returningAll()
    .execute();
  return new Map(rows.map((row) => [row.order_id, row]));
}

/** Takes the rows away that were made for orders which were then refused. */
async function dropEmpty(transaction: StorageTransaction, orders: readonly string[]): Promise<void> {
  if (orders.length === 0) return;
  await transaction
    .deleteFrom('pins')
    .where('order_id', 'in', [...orders])
    .where('pin', 'is', null)
    .where('released_at', 'is', null)
    .execute();
}

function answerOf(row: PinRow, inputs: string): PinAnswer {
  const { order_id, pin, produces_type, produces_uuid } = row;
  if (pin === null || produces_type === null || produces_uuid === null)
    throw new Error(`The pin of order ${order_id} is not whole`);
  return {
    outcome: 'pinned',
    order: order_id,
    ...{ pin, inputs },
    produces: { type: produces_type, uuid: produces_uuid },
    policy: keptPolicy(row),
  };
}
