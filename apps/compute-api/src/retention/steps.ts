import { ORDER_KINDS, type Removal } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import {
  BEGINNING,
  type BestOrders,
  type Candidate,
  candidatesAfter,
  PAGE_ORDERS,
  type Position,
  takeRemovable,
  takeSettled,
} from './candidates.ts';
import { countForgettable, forgetGroups } from './forget.ts';
import { type OutputStorage, outputsOf, removeOutputs } from './outputs.ts';
import { forgetRemoved } from './removed-orders.ts';
import { type Amount, amountsOf, areMoreLogs, logsOf, NONE, plus, removeLogs, removeOrders } from './rows.ts';
import type { RetentionSettings } from './settings.ts';

/** What is gone through, in this order: orders that go, the logs of others, what is known of orders that went. */
export type Phase = 'orders' | 'logs' | 'ids';

/** What went, or would go. */
export type Told = Omit<Removal, 'next'>;

/** What a step did, and where the next one begins; absent after the last. */
export interface Step extends Told {
  readonly next?: { readonly phase: Phase; readonly after: Position } | undefined;
}

/** Where a step is taken. */
export interface StepPlace {
  readonly database: ComputeDatabase;
  readonly settings: RetentionSettings;
  /** The database's time, in milliseconds since 1970. */
  readonly now: number;
  /** Orders that ended before this place are too old, or too many; undefined where all are kept. */
  readonly goneBefore: Position | undefined;
  readonly best: BestOrders;
  readonly phase: Phase;
  /** Orders up to this one are done with. */
  readonly after: Position;
}

/** A step by which something is removed. */
export interface RemovingStep extends StepPlace {
  readonly storage: OutputStorage;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const FORGET_AT_ONCE = 1000;

/** What the next step would remove: a page of orders at most. */
export async function planStep(place: StepPlace): Promise<Step> {
  const { database, settings, now, goneBefore, phase } = place;
  const { read } = database;
  if (phase === 'ids') {
    if (settings.idsMs === null) return NOTHING;
    return { ...NOTHING, ...(await countForgettable(read, now - settings.idsMs)) };
  }
  const page = await pageOf(place);
  if (phase === 'logs') {
    const going = ({ goes, ...one }: Candidate) =>
      goes && goneBefore !== undefined && isBefore(positionOf(one), goneBefore);
    const ids = page.orders.filter((one) => one.isSettled && !going(one)).map(({ id }) => id);
    return { ...NOTHING, logs: await logsOf(read, ids), next: page.next };
  }
  const going = page.orders.filter(({ goes }) => goes);
  const amounts = await amountsOf(
    read,
    going.map(({ id }) => id),
  );
  const outputs = settings.removeOutputs ? outputsOf(going) : NONE;
  return { ...NOTHING, ...amounts, orders: byKind(going), outputs, next: page.next };
}

/** Takes the next step. What it has not done when the signal is aborted, later ones do. */
export async function removeStep(place: RemovingStep): Promise<Step> {
  switch (place.phase) {
    case 'orders':
      return await removeOrdersOf(place);
    case 'logs':
      return await removeLogsOf(place);
    case 'ids':
      return await forgetSome(place);
  }
}

async function removeOrdersOf(place: RemovingStep): Promise<Step> {
  const { database, settings, storage, log, signal } = place;
  const page = await pageOf(place);
  const going = page.orders.filter(({ goes }) => goes);
  const { outputs, without, error } = settings.removeOutputs
    ? await removeOutputs(storage, going, signal)
    : { outputs: NONE, without: going.map(({ id }) => id), error: undefined };
  if (error !== undefined && !signal.aborted) {
    log.warn({ error }, 'Storage has not removed what orders made; it is asked again, and these orders stay');
  }
  let history: Amount = NONE;
  let logs: Amount = NONE;
  const removed = new Set<string>();
  for (let isLeft = without.length > 0; isLeft && !signal.aborted; ) {
    const some = await database.write(
      async (tx) => await removeOrders(tx, await takeRemovable(tx.db, without)),
    );
    history = plus(history, some.history);
    logs = plus(logs, some.logs);
    for (const id of some.orders) removed.add(id);
    isLeft = some.isLeft;
  }
  const orders = byKind(going.filter(({ id }) => removed.has(id)));
  return { ...NOTHING, orders, history, logs, outputs, next: page.next };
}

async function removeLogsOf(place: RemovingStep): Promise<Step> {
  const { database, signal } = place;
  const page = await pageOf(place);
  const ids = page.orders.map(({ id }) => id);
  const last = page.orders.at(-1);
  let logs = NONE;
  for (let isLeft = last !== undefined; isLeft && !signal.aborted; ) {
    const some = await database.write(async (tx) => {
      const amount = await removeLogs(tx, await takeSettled(tx.db, ids));
      if (last !== undefined && !areMoreLogs(amount)) await noteLogsRemoved(tx, positionOf(last));
      return amount;
    });
    logs = plus(logs, some);
    isLeft = areMoreLogs(some);
  }
  return { ...NOTHING, logs, next: page.next };
}

async function forgetSome({ database, settings: { idsMs }, now }: RemovingStep): Promise<Step> {
  if (idsMs === null) return NOTHING;
  const before = now - idsMs;
  const ids = await database.write(async (tx) => await forgetRemoved(tx, before, FORGET_AT_ONCE));
  const groups = await database.write(async (tx) => await forgetGroups(tx, before, FORGET_AT_ONCE));
  const isLeft = ids >= FORGET_AT_ONCE || groups >= FORGET_AT_ONCE;
  return { ...NOTHING, ids, groups, next: isLeft ? BEGIN.ids : undefined };
}

/** The orders that a step looks at, the oldest end first, and where the next step begins. */
async function pageOf({ database: { read }, settings, now, goneBefore, best, phase, after }: StepPlace) {
  const isOfOrders = phase === 'orders';
  const { logsMs } = settings;
  const logsBefore = logsMs === null ? undefined : { at: now - logsMs, id: '' };
  const before = isOfOrders ? goneBefore : logsBefore;
  const begin = isOfOrders ? after : later(after, await logsRemovedUntil(read));
  const orders = before === undefined ? [] : await candidatesAfter(read, { after: begin, before, best });
  const last = orders.at(-1);
  const isOver = last === undefined || orders.length < PAGE_ORDERS;
  const next: Step['next'] = isOver ? BEGIN[isOfOrders ? 'logs' : 'ids'] : { phase, after: positionOf(last) };
  return { orders, next };
}

const BEGIN = {
  logs: { phase: 'logs', after: BEGINNING },
  ids: { phase: 'ids', after: BEGINNING },
} as const satisfies Record<string, Step['next']>;

async function logsRemovedUntil(read: ComputeDatabase['read']): Promise<Position> {
  const row = await read
    .selectFrom('retention_positions')
    .select(['ended_at', 'id'])
    .where('name', '=', 'logs')
    .executeTakeFirst();
  return row === undefined ? BEGINNING : positionOf(row);
}

async function noteLogsRemoved({ db }: Tx, { at, id }: Position): Promise<void> {
  const place = { ended_at: at, id };
  await db
    .insertInto('retention_positions')
    .values({ name: 'logs', ...place })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(place))
    .execute();
}

function positionOf({ ended_at, id }: { readonly ended_at: number; readonly id: string }): Position {
  return { at: Number(ended_at), id };
}

function later(a: Position, b: Position): Position {
  return isBefore(a, b) ? b : a;
}

function isBefore(a: Position, b: Position): boolean {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}

function byKind(orders: readonly Pick<Candidate, 'kind'>[]): Told['orders'] {
  return Object.fromEntries(
    ORDER_KINDS.map((kind) => [kind, orders.filter((one) => one.kind === kind).length]),
  ) as Told['orders'];
}

/** Nothing went, or would go. */
export const NOTHING: Told = {
  orders: byKind([]),
  ...{ history: NONE, logs: NONE, outputs: NONE, ids: 0, groups: 0 },
};
