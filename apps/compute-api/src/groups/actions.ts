import type { Call } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderGroupRow, OrderRow } from '../db/schema.ts';
import { cancelTaken, nameOf, retryTaken } from '../orders/cancel-retry.ts';
import { makersOf, startModelOf, takeWaiting } from '../orders/store.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { askOfGroup, type GroupKey, settleGroup, takeUnderWay } from './store.ts';

/** How many orders one transaction changes: others need not wait long for it. */
const AT_ONCE = 50;

/** What {@link GroupActions} works with. */
export interface GroupActionParts {
  readonly database: ComputeDatabase;
  readonly openOrders: OpenOrders;
  readonly settings: { readonly everyMs: number };
  readonly log: Log;
}

/**
 * Cancels and retries all orders of groups. What is asked is noted in the row of the group first, and then carried out
 * some orders at a time, by whichever compute-api comes to it: also after a restart.
 */
export class GroupActions implements AsyncDisposable {
  readonly #database: ComputeDatabase;
  readonly #openOrders: OpenOrders;
  readonly #loop: Loop;

  /** Starts what carries it out. */
  constructor({ database, openOrders, settings: { everyMs }, log }: GroupActionParts) {
    this.#database = database;
    this.#openOrders = openOrders;
    this.#loop = startLoop({
      name: 'groups',
      everyMs,
      log,
      // A transaction a round, so that calls which came meanwhile go first.
      work: async (signal) => {
        while (!signal.aborted && (await database.write(async (tx) => await carryOn(tx, openOrders))));
      },
    });
  }

  /**
   * Ends all orders of a group that have not ended, but for those whose result is being published; no order is placed in
   * it any more, so that none is missed. Resolves when it is certain, and the first are cancelled. Throws `not_found`.
   */
  async cancel(key: GroupKey, principal: Call['principal']): Promise<void> {
    await this.#ask(key, 'cancel', principal);
  }

  /**
   * Begins those orders of a group again that had failed by now, and with `cancelled` those that were cancelled; orders are
   * placed in it again. Resolves and throws as {@link cancel}, and throws `rate_limited` where they are more than its owner
   * may have open. If others take that room before they have begun, those that are left stay as they are.
   */
  async retry(key: GroupKey, cancelled: boolean, principal: Call['principal']): Promise<void> {
    await this.#ask(key, cancelled ? 'retry_all' : 'retry', principal);
  }

  /** Stops after the transaction under way. What is left goes on with the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
  }

  async #ask(
    key: GroupKey,
    asked: NonNullable<OrderGroupRow['asked']>,
    principal: Call['principal'],
  ): Promise<void> {
    const room = asked === 'cancel' ? Number.POSITIVE_INFINITY : await this.#openOrders.room(key.owner);
    await this.#database.write(async (tx) => {
      await askOfGroup(tx, key, asked, nameOf(principal));
      const more = asked === 'cancel' ? 0 : await countRetried(tx, key, asked);
      if (more > room) throw this.#openOrders.refusal(key.owner, more);
    });
    await this.#database.write(async (tx) => await carryOn(tx, this.#openOrders, key));
    this.#loop.wake();
  }
}

/** What became of the orders of one round, each of which was come to once. */
interface Round {
  readonly group: OrderGroupRow;
  /** How many may begin again: more would be beyond what their owner may have open. */
  readonly room: number;
  readonly seen: Set<string>;
  changed: number;
  /** Somebody else is at them: they are looked at again in a later round. */
  held: number;
}

/**
 * Carries out some of what is asked of a group (see {@link takeUnderWay}); false where there is nothing more to do at once.
 * The group stays locked meanwhile, so that nobody else is at it, and what is asked stays the same. For an order that
 * somebody else has locked it does not wait: who checks orders locks many of them, in another order.
 */
async function carryOn(tx: Tx, openOrders: OpenOrders, key?: GroupKey): Promise<boolean> {
  const group = await takeUnderWay(tx, key);
  if (group === undefined) return false;
  const ids = await nextOf(tx, group);
  const isRetry = group.asked !== 'cancel';
  const room = isRetry ? await openOrders.roomIn(tx, group.owner) : Number.POSITIVE_INFINITY;
  const round: Round = { group, room, seen: new Set(), changed: 0, held: 0 };
  for (const id of ids) await apply(tx, round, id);
  if (isRetry) openOrders.added(group.owner, round.changed);
  const isOver = (ids.length < AT_ONCE && round.held === 0) || round.changed >= room;
  if (isOver) await settleGroup(tx, group);
  return isOver || round.changed > 0;
}

/**
 * Does with an order what is asked, where it concerns it still. Those of the group that wait for its model are cancelled
 * before it, so that they do not fail for want of it; it begins again after the order that makes its start model, so that it
 * waits for that. Orders may name one another's models in a circle.
 */
async function apply(tx: Tx, round: Round, id: string): Promise<void> {
  const { group, seen } = round;
  if (seen.has(id)) return;
  seen.add(id);
  const order = await takeUnlessHeld(tx, id);
  if (order === undefined) round.held += 1;
  if (order === undefined || !concerns(group, order)) return;
  const by = group.asked_by ?? '';
  if (group.asked === 'cancel') {
    for (const waiting of await takeWaiting(tx, id, AT_ONCE)) await apply(tx, round, waiting.id);
    await cancelTaken(tx, order, by);
  } else {
    const model = startModelOf(order);
    const [maker] = model === null ? [] : await makersOf(tx, [{ model, owner: order.owner }]);
    if (maker !== undefined) await apply(tx, round, maker.id);
    if (round.changed >= round.room) return;
    await retryTaken(tx, order, by);
  }
  round.changed += 1;
}

async function takeUnlessHeld({ db }: Tx, id: string): Promise<OrderRow | undefined> {
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** What is asked concerns these of the group: of those that failed, only what had by then, so that what fails again is left alone. */
function concerns({ owner, name, asked, asked_at }: OrderGroupRow, order: OrderRow): boolean {
  const { status, lease_until, ended_at } = order;
  if (order.owner !== owner || order.group_name !== name) return false;
  if (asked === 'cancel')
    return OPEN.some((one) => one === status) && (status !== 'pending' || lease_until !== null);
  return RETRIED[asked ?? 'retry'].some((one) => one === status) && Number(ended_at) <= Number(asked_at);
}

const OPEN = ['waiting', 'todo', 'pending'] as const;
const RETRIED = { retry: ['failed'], retry_all: ['failed', 'cancelled'] } as const;

/** The next orders that it concerns: the newest are cancelled first, and the oldest begin first, as chains have it. */
async function nextOf({ db }: Tx, { owner, name, asked, asked_at }: OrderGroupRow): Promise<string[]> {
  const all = db
    .selectFrom('orders')
    .select('id')
    .where('owner', '=', owner)
    .where('group_name', '=', name)
    .limit(AT_ONCE);
  const next =
    asked === 'cancel'
      ? all
          .where('status', 'in', OPEN)
          .where((row) => row.or([row('status', '<>', 'pending'), row('lease_until', 'is not', null)]))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
      : all
          .where('status', 'in', RETRIED[asked ?? 'retry'])
          .where('ended_at', '<=', asked_at)
          .orderBy('created_at')
          .orderBy('id');
  return (await next.execute()).map(({ id }) => id);
}

/** How many orders of a group begin again. */
async function countRetried(
  { db }: Tx,
  { owner, name }: GroupKey,
  asked: keyof typeof RETRIED,
): Promise<number> {
  const { n } = await db
    .selectFrom('orders')
    .select(({ fn }) => fn.countAll<number | string>().as('n'))
    .where('owner', '=', owner)
    .where('group_name', '=', name)
    .where('status', 'in', RETRIED[asked])
    .executeTakeFirstOrThrow();
  return Number(n);
}
