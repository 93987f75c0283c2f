import { randomUUID } from 'node:crypto';
import { delayMs, isPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import { endOrder } from '../orders/finish.ts';
import { specOf, takeOrder } from '../orders/store.ts';
import { queueMessage } from '../outbox/message.ts';
import { takeWakeUps, type WakeUp } from '../outbox/store.ts';
import { isPaused } from '../workers/store.ts';
import { tooLarge } from './limits.ts';

/**
 * A foreign worker runs whatever message it gets, whatever has become of the order. So an order is published once: when
 * the broker has it, it is not published again until an attempt of it was lost, or somebody retries it. Each
 * publication calls the order by a uuid of its own (the first by the order's), by which a report is told from one of an
 * earlier publication.
 */

/** How many orders one round takes. */
const ROUND = 100;
/** So long nobody else publishes what this process is publishing; if it dies meanwhile, somebody does then. */
const HOLD_MS = 300_000;

/** What {@link handToForeignWorkers} works with. */
export interface MessageParts {
  readonly database: ComputeDatabase;
  readonly settings: Pick<ComputeSettings, 'effectBackOff'>;
  /** Publishes the message of an order. Throws as `Broker.publish` does. */
  readonly publish: (order: WakeUp, message: string) => Promise<void>;
  readonly log: Log;
}

/** Publishes the orders that are due and that no message of the queue stands for; none while the queue is paused. */
export async function handToForeignWorkers(parts: MessageParts): Promise<void> {
  const { database } = parts;
  for (;;) {
    const messages = await database.write(async (tx) => await takeMessages(tx));
    for (const [index, message] of messages.entries()) {
      if (await hand(message, parts)) continue;
      const rest = messages.slice(index + 1).map(({ order }) => order.id);
      await database.write(async (tx) => await untake(tx, rest));
      return;
    }
    if (messages.length < ROUND) return;
  }
}

/** An order that is to be published, and what its message calls it. */
interface Message {
  readonly order: WakeUp;
  readonly uuid: string;
}

async function takeMessages(tx: Tx): Promise<Message[]> {
  if (await isPaused(tx.db)) return [];
  const messages: Message[] = [];
  for (const order of await takeWakeUps(tx, ROUND, { holdMs: HOLD_MS })) {
    messages.push({ order, uuid: await nameMessage(tx, order) });
  }
  return messages;
}

async function nameMessage({ db }: Tx, { id, attempt, round, publishes }: WakeUp): Promise<string> {
  if (attempt === 0 && round === 1 && publishes === 1) return id;
  const uuid = randomUUID();
  await db.insertInto('foreign_messages').values({ id: uuid, order_id: id }).execute();
  return uuid;
}

/** Publishes one; false where the broker is away, and the order is due again after a pause. */
async function hand(
  { order, uuid }: Message,
  { database, settings, publish, log }: MessageParts,
): Promise<boolean> {
  try {
    await publish(order, queueMessage(specOf(order), uuid));
  } catch (error) {
    if (isPlatformError(error, 'too_large')) {
      await database.write(async (tx) => await endTooLarge(tx, order));
      return true;
    }
    log.warn({ order: order.id, error }, 'An order could not be published yet; it is tried again');
    const pause = delayMs(order.publishes, settings.effectBackOff);
    await database.write(async (tx) => await publishNext(tx, order, pause));
    return false;
  }
  await database.write(async (tx) => await publishNext(tx, order, null));
  if (uuid !== order.id) log.info({ order: order.id, message: uuid }, 'An order was published again');
  return true;
}

/** Says when an order is published next; null: not by itself. One that was taken meanwhile stays as it is. */
async function publishNext({ db, now }: Tx, { id, publishes }: WakeUp, pause: number | null): Promise<void> {
  await db
    .updateTable('orders')
    .set({ publish_after: pause === null ? null : sql<number>`${now} + ${pause}` })
    .where('id', '=', id)
    .where('status', '=', 'todo')
    .where('publishes', '=', publishes)
    .execute();
}

/** Puts orders back that were not published after all, so that their next publication is still their first. */
async function untake({ db, now }: Tx, orders: readonly string[]): Promise<void> {
  if (orders.length === 0) return;
  await db
    .updateTable('orders')
    .set({ publish_after: now, publishes: sql<number>`publishes - 1` })
    .where('id', 'in', [...orders])
    .where('status', '=', 'todo')
    .execute();
}

async function endTooLarge(tx: Tx, { id }: WakeUp): Promise<void> {
  const order = await takeOrder(tx, id);
  if (order?.status !== 'todo') return;
  await endOrder(tx, order, { status: 'failed', failure: tooLarge() });
}
