import type { OrderStatus } from '@morpheo/common';
import type { Schema } from '@morpheo/compute-api';
import type { Database } from '@morpheo/service/database';
import type { Customers } from './load.ts';

/** Where an entry of an order's history may lead from where the one before it stood. */
const LEADS_TO: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  waiting: ['waiting', 'todo', 'failed', 'cancelled'],
  todo: ['pending', 'cancelled'],
  pending: ['pending', 'todo', 'done', 'failed', 'cancelled'],
  done: [],
  failed: ['waiting'],
  cancelled: ['waiting'],
};
const ENDED: readonly OrderStatus[] = ['done', 'failed', 'cancelled'];

/** How many orders have not ended, or have effects that did not happen yet; groups of which something is under way count too. */
export async function unsettled(database: Database<Schema>, { accepted }: Customers): Promise<number> {
  const open = await database.read
    .selectFrom('orders')
    .select('id')
    .where('status', 'not in', ENDED)
    .execute();
  const due = await database.read.selectFrom('outbox').select('order_id').execute();
  const stored = await database.read.selectFrom('orders').select('id').execute();
  const groups = await database.read
    .selectFrom('order_groups')
    .select('name')
    .where('under_way', '=', 1)
    .execute();
  return (
    groups.length +
    new Set([...open.map(({ id }) => id), ...due.map(({ order_id }) => order_id)]).size +
    (accepted.size - stored.length > 0 ? 1 : 0)
  );
}

/** What there is to be judged once all has come to rest. */
export interface Rest {
  readonly database: Pick<Database<Schema>, 'read'>;
  /** The attempt whose result is visible, by order. */
  readonly visible: ReadonlyMap<string, number>;
  /** The orders whose visible result storage tells to be that of a run that failed. */
  readonly toldFailed: ReadonlySet<string>;
  /** The orders for which storage holds something, where that can be told. */
  readonly holding?: readonly string[];
  /** How each order ended, as the orchestrator was told, oldest first. */
  readonly heard: ReadonlyMap<string, readonly string[]>;
}

/** What of the promise does not hold, a sentence each. */
export async function brokenPromises(
  rest: Rest,
  customers: { readonly accepted: ReadonlySet<string>; readonly retried: ReadonlySet<string> },
): Promise<string[]> {
  const { read } = rest.database;
  const orders = await read.selectFrom('orders').selectAll().execute();
  const attempts = await read.selectFrom('attempts').selectAll().execute();
  const events = await read.selectFrom('events').selectAll().orderBy('order_id').orderBy('n').execute();
  const stored = new Set(orders.map(({ id }) => id));
  const broken = [...customers.accepted]
    .filter((id) => !stored.has(id))
    .map((id) => `${id} was accepted and is lost`);
  for (const { owner, name, posted } of await read.selectFrom('order_groups').selectAll().execute()) {
    const { length } = orders.filter((order) => order.owner === owner && order.group_name === name);
    if (length !== posted) broken.push(`the group ${name} has ${length} orders, and has counted ${posted}`);
  }
  for (const id of rest.holding ?? []) broken.push(`${id} has ended, and storage still holds what it named`);
  for (const order of orders) {
    const say = (what: string): void => void broken.push(`${order.id} ${what}`);
    const mine = attempts.filter(({ order_id }) => order_id === order.id);
    const history = events.filter(({ order_id }) => order_id === order.id);
    checkHistory(history, order, say);
    checkEnds(history, customers.retried.has(order.id), say);
    if (mine.length !== order.attempt) say(`is at attempt ${order.attempt} and has ${mine.length} of them`);
    if (mine.some(({ outcome }) => outcome === null)) say('has an attempt that never ended');
    const ending =
      order.kind === 'job' && order.status === 'failed' && order.result !== null ? 'failed' : 'done';
    const wins = mine
      .filter(
        ({ outcome, attempt }) => outcome === ending && (ending === 'done' || attempt === order.attempt),
      )
      .map(({ attempt }) => attempt);
    checkResult(order, ending, wins, rest.visible.get(order.id), say);
    if (rest.toldFailed.has(order.id) !== (ending === 'failed'))
      say(
        `is ${order.status}, and storage tells ${rest.toldFailed.has(order.id) ? '' : 'not '}that its run failed`,
      );
    const heard = rest.heard.get(order.id) ?? [];
    if (order.kind !== 'job') checkTold(order.status, heard, say);
    else if (heard.length > 0) say(`is a job, and the orchestrator heard ${heard.join(', ')}`);
  }
  return broken;
}

type Say = (what: string) => void;
type Entry = Pick<Schema['events'], 'n' | 'status' | 'what' | 'attempt'>;

function checkHistory(history: readonly Entry[], order: Schema['orders'], say: Say): void {
  let before: Entry | undefined;
  for (const entry of history) {
    if (before !== undefined) {
      const ways = entry.what === 'told' ? [before.status] : LEADS_TO[before.status];
      if (!ways.includes(entry.status))
        say(`went from ${before.status} to ${entry.status} at entry ${entry.n}`);
      if (entry.attempt < before.attempt) say(`fell back to attempt ${entry.attempt} at entry ${entry.n}`);
    }
    if (entry.n !== (before?.n ?? 0) + 1) say(`lacks the entry before ${entry.n}`);
    before = entry;
  }
  if (before?.status !== order.status) say(`is ${order.status}, and its history ends with ${before?.status}`);
  if (!ENDED.includes(order.status)) say(`is still ${order.status}`);
}

/** I2: at most one end, unless somebody asked for another try. */
function checkEnds(history: readonly Entry[], mayRepeat: boolean, say: Say): void {
  const ends = history.filter(({ what, status }) => what === status && ENDED.includes(status));
  if (ends.length > 1 && !mayRepeat)
    say(`ended ${ends.length} times: ${ends.map(({ status }) => status).join(', ')}`);
}

/** I3: what is visible was made by the attempt that ended the order; `ending` is how an order ended that has a result. */
function checkResult(
  { status }: Schema['orders'],
  ending: 'done' | 'failed',
  wins: readonly number[],
  visible: number | undefined,
  say: Say,
): void {
  if (status === ending && (visible === undefined || !wins.includes(visible))) {
    say(`is ${status} by attempt ${wins.join(' and ')}, and the result of attempt ${visible} is visible`);
  }
  if (status !== ending && visible !== undefined)
    say(`is ${status}, and the result of attempt ${visible} is visible`);
  if (status === 'done' && wins.length !== 1) say(`is done by ${wins.length} attempts`);
}

/** The wire has no number by which a message that lingered could be told from a later one, so the order is not judged. */
function checkTold(status: OrderStatus, heard: readonly string[], say: Say): void {
  const expected = status === 'done' ? 'done' : 'failed';
  if (!heard.includes(expected))
    say(`is ${status}, and the orchestrator heard ${heard.join(', ') || 'nothing'}`);
}
