import type { Failure, OrderEvent, OrderSpec, PinAnswer } from '@morpheo/common';
import { type RawBuilder, sql, type UpdateObject } from 'kysely';
import { type Beside, type ComputeDatabase, runTogether, type Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow, Schema } from '../db/schema.ts';
import { type Effect, type Lane, laneOf, PIN_ORDER, sortOf } from '../outbox/effects.ts';

/** What happens to an order at once: its row, its history and its effects move in one transaction or not at all. */
export interface OrderChange {
  /** What its history says has happened, and the details there. */
  readonly event: OrderEvent['what'];
  readonly details?: Readonly<Record<string, unknown>>;
  /** When it happened; now where absent. */
  readonly at?: RawBuilder<number>;
  /** The columns that it sets; values, or expressions such as the database's clock. */
  readonly set?: UpdateObject<Schema, 'orders'> & Partial<Pick<OrderRow, 'status' | 'attempt'>>;
  /** What it causes in other systems. */
  readonly effects?: readonly Effect[];
}

/**
 * Adds orders, each with the first entry of its history, and unless it waits for its start model the effect by which
 * storage checks it: three statements for any number of them. Their ids are different. Resolves with the ids of those
 * that are new; of one whose id is taken, or was that of an order which was removed, nothing is written.
 */
export async function insertOrders(tx: Tx, rows: readonly NewOrder[]): Promise<ReadonlySet<string>> {
  if (rows.length === 0) return new Set();
  const { now } = tx;
  // By id: two that add the same orders at the same time wait for one another in one order, and never both.
  const sorted = rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const values = sorted.map((row) => ({ ...row, sample_of: row.sample_of ?? null }));
  const gpus = sql`coalesce(posted.gpus, (select gpus from problem_defaults where problem = posted.problem), 0)`;
  const { rows: taken } = await sql<{ id: string }>`
    insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model, model_start, model_end,
      waits_for, sample_of, group_name, trace, needs, gpus, asks_gpus, owner, priority, turn_at, attempt, charged,
      publishes, events, effects, due_at, created_at)
    select id, kind, status, spec, identity, problem, workflow, algo, model, model_start, model_end,
      waits_for, sample_of, group_name, trace, needs, ${gpus}, case when ${gpus} > 0 then 1 else 0 end,
      owner, priority, ${now} - ahead_ms, 0, 0,
      0, 1, case when waits_for is null then 1 else 0 end, ${now}, ${now}
    from ${rowsOf(tx, NEW_ORDER, values)}
    where true on conflict (id) do nothing returning id`.execute(tx.db);
  // The removal of an order of this id that the first statement has waited for is seen by a later one alone.
  const { rows: begun } = await sql<{ order_id: string }>`
    insert into events (order_id, n, at, attempt, what, status, details)
    select id, 1, ${now}, 0, 'accepted', 'waiting', '{}' from ${rowsOf(tx, IDS, taken)}
    where not exists (select 1 from removed_orders where id = posted.id) returning order_id`.execute(tx.db);
  const added = new Set(begun.map(({ order_id }) => order_id));
  const removed = taken.flatMap(({ id }) => (added.has(id) ? [] : [id]));
  if (removed.length > 0) await tx.db.deleteFrom('orders').where('id', 'in', removed).execute();
  const checked = sorted.flatMap(({ id, waits_for }) =>
    added.has(id) && waits_for === null ? [{ id }] : [],
  );
  if (checked.length > 0) {
    await sql`
      insert into outbox (order_id, n, lane, effect, due_at, created_at, tries)
      select id, 1, ${laneOf(PIN_ORDER)}, ${JSON.stringify(PIN_ORDER)}, ${now} + ${sql.lit(tx.outgoing.holdMs)}, ${now}, 0
      from ${rowsOf(tx, IDS, checked)}`.execute(tx.db);
  }
  for (const row of rows) {
    if (!added.has(row.id)) continue;
    tx.changes.push({ event: 'accepted', order: { ...row, attempt: 0 } });
    if (row.waits_for !== null) continue;
    const pin = { order: row.id, n: 1, tries: 0, effect: PIN_ORDER, trace: row.trace } as const;
    if (tx.outgoing.holdMs === 0) tx.outgoing.due.add('pins');
    else tx.outgoing.held.push({ ...pin, row: { ...row, sample_of: row.sample_of ?? null, round: 1 } });
  }
  return added;
}

/** The order, locked for this transaction; undefined where there is none. */
export async function takeOrder({ db }: Tx, id: string): Promise<OrderRow | undefined> {
  return await db.selectFrom('orders').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

/** Those of the ids that are orders, locked for this transaction. */
export async function takeOrders({ db }: Tx, ids: readonly string[]): Promise<OrderRow[]> {
  if (ids.length === 0) return [];
  return await db.selectFrom('orders').selectAll().where('id', 'in', ids).orderBy('id').forUpdate().execute();
}

/** Those of the ids that are orders. */
export async function ordersOf(
  { db }: { readonly db: ComputeDatabase['read'] },
  ids: readonly string[],
): Promise<OrderRow[]> {
  if (ids.length === 0) return [];
  return await db.selectFrom('orders').selectAll().where('id', 'in', ids).execute();
}

/** At most `most` of the orders that wait for the model of `id`, locked for this transaction. */
export async function takeWaiting({ db }: Tx, id: string, most: number): Promise<OrderRow[]> {
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('waits_for', '=', id)
    .where('status', '=', sql.lit('waiting'))
    .orderBy('id')
    .limit(most)
    .forUpdate()
    .execute();
}

/** Of these orders, those whose model others wait for. */
export async function waitedForOf({ db }: Tx, ids: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('orders as maker')
    .select('maker.id')
    .where('maker.id', 'in', ids)
    .where((row) =>
      row.exists(
        row
          .selectFrom('orders')
          .select('orders.id')
          .whereRef('orders.waits_for', '=', 'maker.id')
          .where('orders.status', '=', 'waiting'),
      ),
    )
    .execute();
  return rows.map(({ id }) => id);
}

/** A model that orders of an owner start from. */
export interface StartModel {
  readonly model: string;
  readonly owner: string;
}

/**
 * The orders that make, or made, models that orders start from; undefined for a model that none makes. Anybody can post
 * an order that claims to make one: those count that are of the same owner, or for which storage has kept the id, and of
 * several that have not failed the oldest. They do not end before this transaction does, so that whoever comes to wait
 * for one is seen by its end.
 */
export async function makersOf(
  tx: Tx,
  wanted: readonly StartModel[],
): Promise<(Pick<OrderRow, 'id' | 'status'> | undefined)[]> {
  if (wanted.length === 0) return [];
  const rows = wanted.map((one, n) => ({ n, ...one }));
  const { rows: found } = await sql<{ n: number; id: string | null }>`
    select n, (
      select id from orders
      where model_end = posted.model and (owner = posted.owner or pin is not null)
      order by case when status in ('failed', 'cancelled') then 1 else 0 end, created_at limit 1) as id
    from ${rowsOf(tx, START_MODEL, rows)}`.execute(tx.db);
  const ids = new Set(found.flatMap(({ id }) => id ?? []));
  if (ids.size === 0) return wanted.map(() => undefined);
  const makers = await tx.db
    .selectFrom('orders')
    .select(['id', 'status'])
    .where('id', 'in', [...ids])
    .orderBy('id')
    .forKeyShare()
    .execute();
  const byN = new Map(found.map(({ n, id }) => [n, makers.find((maker) => maker.id === id)]));
  return wanted.map((_, n) => byN.get(n));
}

/** What goes the same way as a change of an order. */
export interface Along {
  /** What happened to it just before. */
  readonly changes?: readonly OrderChange[];
  /** Statements on rows of other tables, each row in one of them. */
  readonly beside?: readonly Beside[];
  /** False: the commit need not wait for the disk, since an effect has it done again where it is lost. */
  readonly waits?: boolean;
}

/**
 * Changes an order that this transaction has locked. Returns the order as it is now. The fence is the caller's: it has
 * compared `order` with what it may change.
 */
export async function changeOrder(
  tx: Tx,
  order: OrderRow,
  change: OrderChange,
  { changes = [], ...along }: Along = {},
): Promise<OrderRow> {
  return await makeChanges(tx, order, [...changes, change], along);
}

/** As {@link changeOrder}, with several changes in their order, at least one; a column that two of them set is as the later says. */
export async function makeChanges(
  tx: Tx,
  order: OrderRow,
  changes: readonly OrderChange[],
  { beside = [], waits = true }: Omit<Along, 'changes'> = {},
): Promise<OrderRow> {
  const lanes = order.sample_of === null ? tx.lanes : tx.lanes.filter((lane) => lane !== 'orchestrator');
  const effects = changes
    .flatMap((change) => change.effects ?? [])
    .filter((effect) => lanes.includes(laneOf(effect)));
  const filled = [...new Set(effects.map(laneOf))];
  const update = tx.db
    .updateTable('orders')
    .set({
      ...Object.assign({}, ...changes.map(({ set }) => set)),
      events: order.events + changes.length,
      effects: order.effects + effects.length,
    })
    .where('id', '=', order.id)
    .returningAll()
    .returning(filled.map((lane) => pendingIn(lane, sql.ref('orders.id')).as(`pending_${lane}`)));
  const added = [entriesOf(tx, order, changes), ...effectsOf(tx, order.id, order.effects, effects)];
  const [row] = await runTogether<OrderRow & Partial<Record<`pending_${Lane}`, number | string>>>(
    tx,
    update,
    [...added, ...beside],
    { waits },
  );
  if (row === undefined) throw new Error(`The order ${order.id} is gone, and was locked.`);
  const { pending_storage, pending_orchestrator, pending_callback, pending_orders, ...changed } = row;
  const pending = {
    ...{ storage: pending_storage, orchestrator: pending_orchestrator },
    ...{ callback: pending_callback, orders: pending_orders },
  };
  handOver(tx, changed, order.effects, effects, (lane) => Number(pending[lane] ?? 0) === 0);
  for (const { event, details } of changes) {
    // Written by ourselves, where an entry of the history has one.
    const failure = details?.failure as Failure | undefined;
    tx.changes.push({ event, order: changed, ran: order.lease_until !== null, failure });
  }
  return changed;
}

/** How many effects of a lane an order has that have not happened. */
function pendingIn(lane: Lane, order: RawBuilder<unknown>): RawBuilder<number> {
  // A literal, as in all that an index of some lanes, or states, could be used for: SQLite plans a value at each execution.
  return sql<number>`(select count(*) from outbox where outbox.order_id = ${order} and outbox.lane = ${sql.lit(lane)})`;
}

/** Of new effects, after `before` earlier ones, leaves those that nothing is before in their lane to this process, where it carries any out. */
export function handOver(
  { outgoing }: Tx,
  row: OrderRow,
  before: number,
  effects: readonly Effect[],
  isFree: (lane: Lane) => boolean,
): void {
  const seen = new Set<Lane>();
  for (const [index, effect] of effects.entries()) {
    const lane = laneOf(effect);
    const isFirst = !seen.has(lane);
    seen.add(lane);
    if (outgoing.holdMs > 0 && isFirst && isFree(lane))
      outgoing.held.push({ order: row.id, n: before + index + 1, tries: 0, effect, trace: row.trace, row });
    else outgoing.due.add(sortOf(effect));
  }
}

/** Adds an effect of an order that this transaction has locked, where nothing happens to the order itself. */
export async function addEffectTo(tx: Tx, id: string, effect: Effect): Promise<void> {
  const { effects } = await tx.db
    .updateTable('orders')
    .set((row) => ({ effects: row('effects', '+', 1) }))
    .where('id', '=', id)
    .returning('effects')
    .executeTakeFirstOrThrow();
  const alone = { ...tx, outgoing: { ...tx.outgoing, holdMs: 0 } };
  for (const statement of effectsOf(alone, id, effects - 1, [effect])) await statement.execute();
  tx.outgoing.due.add(sortOf(effect));
}

/** What writes the entries of the history that changes of an order make. */
function entriesOf({ db, now }: Tx, order: OrderRow, changes: readonly OrderChange[]) {
  let { events: n, attempt, status } = order;
  const rows = changes.map(({ event: what, at = now, details = {}, set }) => {
    n += 1;
    attempt = set?.attempt ?? attempt;
    status = set?.status ?? status;
    return { order_id: order.id, n, at, attempt, what, status, details: JSON.stringify(details) };
  });
  return db.insertInto('events').values(rows);
}

/**
 * What writes effects into the outbox, after the `before` that their order had; nothing where there are none. One that is
 * the first in its lane is put off where this process carries it out.
 */
function effectsOf(
  { db, now, outgoing: { holdMs } }: Tx,
  id: string,
  before: number,
  effects: readonly Effect[],
) {
  if (effects.length === 0) return [];
  const seen = new Set<Lane>();
  const rows = effects.map((effect, index) => {
    const lane = laneOf(effect);
    const isHeld = holdMs > 0 && !seen.has(lane);
    seen.add(lane);
    const due_at = isHeld
      ? sql<number>`case when ${pendingIn(lane, sql`${id}`)} = 0 then ${now} + ${sql.lit(holdMs)} else ${now} end`
      : now;
    return {
      ...{ order_id: id, n: before + index + 1, lane, effect: JSON.stringify(effect) },
      ...{ due_at, created_at: now, tries: 0, last_error: null },
    };
  });
  return [db.insertInto('outbox').values(rows)];
}

/** What a new order brings; the rest of its row starts as zero or null. */
export interface NewOrder
  extends Pick<
    OrderRow,
    | 'id'
    | 'kind'
    | 'status'
    | 'spec'
    | 'identity'
    | 'problem'
    | 'workflow'
    | 'algo'
    | 'model'
    | 'model_start'
    | 'model_end'
    | 'waits_for'
    | 'trace'
    | 'needs'
    | 'owner'
    | 'priority'
    | 'group_name'
  > {
  /** The failed order for which the platform places it; absent for one that somebody posted. */
  readonly sample_of?: string | null;
  /** Null: as the problem has it by default. */
  readonly gpus: number | null;
  /** By how much it goes ahead of the orders of its owner that have no priority, in milliseconds. */
  readonly ahead_ms: number;
}

const NEW_ORDER: Columns<Required<NewOrder>> = {
  ...{ id: 'text', kind: 'text', status: 'text', spec: 'text', identity: 'text', problem: 'text' },
  ...{ workflow: 'text', algo: 'text', model: 'text', model_start: 'text', model_end: 'text' },
  ...{ waits_for: 'text', sample_of: 'text', group_name: 'text', trace: 'text', needs: 'text' },
  ...{ gpus: 'integer', owner: 'text', priority: 'integer', ahead_ms: 'bigint' },
};
const IDS: Columns<{ id: string }> = { id: 'text' };
const START_MODEL: Columns<StartModel & { n: number }> = { n: 'integer', model: 'text', owner: 'text' };

/** The posted order of a row. What is in the table was checked before it was written. */
export function specOf(row: Pick<OrderRow, 'spec'>): OrderSpec {
  return JSON.parse(row.spec) as OrderSpec;
}

/** What storage holds for an order: the parts of its answer that later steps need. */
export type Pin = Pick<Extract<PinAnswer, { outcome: 'pinned' }>, 'pin' | 'inputs' | 'produces' | 'policy'>;

/** What storage holds for a row's order; null where it has not checked it. Written by ourselves. */
export function pinOf({ pin }: Pick<OrderRow, 'pin'>): Pin | null {
  return JSON.parse(pin ?? 'null') as Pin | null;
}

/** The model that an order starts from; null where there is none. */
export function startModelOf(row: Pick<OrderRow, 'model' | 'model_start'>): string | null {
  return row.model_start ?? row.model;
}
