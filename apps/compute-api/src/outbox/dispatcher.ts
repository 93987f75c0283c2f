import {
  delayMs,
  isPlatformError,
  type OrderKind,
  type OrderSpec,
  type PlatformError,
  TOPICS,
  toPlatformError,
} from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { inScope, silentTracer, span, type Tracer } from '@morpheo/service/trace';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { handToForeignWorkers } from '../foreign/messages.ts';
import { onPublished, settleWaiting } from '../orders/finish.ts';
import { changeOrder, specOf, takeOrder } from '../orders/store.ts';
import { checkOrders } from './check-orders.ts';
import { deliver, laneOf, type SingleEffect, type Systems } from './effects.ts';
import { queueMessage } from './message.ts';
import {
  type DueEffect,
  postponeEffect,
  settleEffect,
  takeEffects,
  takePins,
  takeSettling,
  takeWakeUps,
  type WakeUp,
} from './store.ts';

/** How many rows one round takes: bounds the memory and the length of a transaction. */
const ROUND = 100;
/** How long one effect may take; as long nobody else tries it. */
const HOLD_MS = 30_000;

/** What the dispatcher works with. */
export interface DispatcherParts extends Systems {
  readonly database: ComputeDatabase;
  readonly broker: Broker;
  readonly settings: ComputeSettings;
  /** Makes effects spans of the traces that their orders belong to. */
  readonly tracer?: Tracer | undefined;
  readonly log: Log;
}

/** Carries decided things out: wakes workers through the broker, and has effects happen in other systems. */
export class Dispatcher implements AsyncDisposable {
  readonly #parts: DispatcherParts;
  readonly #checks: Loop;
  readonly #publications: Loop;
  readonly #loops: readonly Loop[];

  /** Starts it. */
  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    const { log, settings } = parts;
    const every = { everyMs: settings.everyMs, log };
    this.#checks = startLoop({ name: 'checks', ...every, work: async () => await this.#checkRound() });
    const publish = async () => await this.#publishRound();
    this.#publications = startLoop({ name: 'publications', ...every, work: publish });
    this.#loops = [
      this.#checks,
      this.#publications,
      startLoop({ name: 'effects', ...every, work: async () => await this.#effectRound('others') }),
      startLoop({ name: 'callbacks', ...every, work: async () => await this.#effectRound('callbacks') }),
      startLoop({
        name: 'waiting orders',
        ...every,
        work: async (signal) => await this.#settleRounds(signal),
      }),
    ];
  }

  /** There may be something to do. */
  wake(): void {
    for (const loop of this.#loops) loop.wake();
  }

  /** There may be orders to check, and nothing else. */
  check(): void {
    this.#checks.wake();
  }

  /** Stops after the round under way. What is left stays due, for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#loops.map(async (loop) => await loop[Symbol.asyncDispose]()));
  }

  async #publish(order: OrderSpec): Promise<void> {
    await this.#send(order.kind, queueMessage(order)).catch(async (error: unknown) => {
      if (!isPlatformError(error, 'too_large')) throw error;
      await this.#send(order.kind, JSON.stringify({ uuid: order.uplet.uuid }));
    });
  }

  async #send(kind: OrderKind, message: string): Promise<void> {
    const topic = TOPICS[kind];
    await span('publish', { topic }, async () => await this.#parts.broker.publish(topic, message));
  }

  async #publishRound(): Promise<void> {
    const { database, settings } = this.#parts;
    if (settings.foreignWorkers !== undefined) {
      const publish = async (order: WakeUp, message: string) =>
        await this.#onBehalf(order, () => this.#send(specOf(order).kind, message));
      await handToForeignWorkers({ ...this.#parts, publish });
      return;
    }
    for (;;) {
      const again = { firstMs: settings.wakeAgainMs };
      const orders = await database.write(async (tx) => await takeWakeUps(tx, ROUND, again));
      for (const order of orders) await this.#onBehalf(order, () => this.#publish(specOf(order)));
      if (orders.length < ROUND) return;
    }
  }

  async #checkRound(): Promise<void> {
    const { database } = this.#parts;
    for (;;) {
      const effects = await database.write(async (tx) => await takePins(tx, ROUND, HOLD_MS));
      if (effects.length > 0) {
        const due = await checkOrders(effects, this.#parts, AbortSignal.timeout(HOLD_MS));
        if (this.#parts.settings.foreignWorkers === undefined) {
          for (const order of due) this.#announce(order);
        } else this.#publications.wake();
        // Whoever was refused, or has ended meanwhile, has other effects that may be due now.
        if (due.length < effects.length) this.wake();
      }
      if (effects.length < ROUND) return;
    }
  }

  /** Wakes workers for an order that has just become due, without a further look at the database. */
  #announce(order: OrderRow): void {
    this.#onBehalf(order, () => this.#publish(specOf(order))).catch((error: unknown) => {
      const text = 'Workers could not be woken; they are when the order is due again';
      this.#parts.log.debug({ order: order.id, error }, text);
    });
  }

  async #effectRound(which: 'others' | 'callbacks'): Promise<void> {
    const { database } = this.#parts;
    for (;;) {
      const effects = await database.write(async (tx) => await takeEffects(tx, ROUND, HOLD_MS, which));
      await Promise.all(
        effects.map(async (due) => {
          const order = { id: due.order, trace: due.trace };
          await this.#onBehalf(order, () => this.#carryOut(due));
        }),
      );
      if (effects.length < ROUND) return;
    }
  }

  /** A transaction a round, so that calls which came meanwhile go first. */
  async #settleRounds(signal: AbortSignal): Promise<void> {
    const { database } = this.#parts;
    while (!signal.aborted && (await database.write(settleSome))) this.wake();
  }

  /** Does work for an order, as spans of its trace if it has one. */
  async #onBehalf<T>({ id, trace }: Pick<OrderRow, 'id' | 'trace'>, work: () => Promise<T>): Promise<T> {
    const { tracer = silentTracer } = this.#parts;
    const traced = trace === null ? silentTracer : tracer;
    return await inScope({ tracer: traced, traceparent: trace ?? undefined, order: id }, work);
  }

  async #carryOut(due: DueEffect<SingleEffect>): Promise<void> {
    const { database, log, settings } = this.#parts;
    const tries = due.tries + 1;
    try {
      const refusal = await span(SPANS[due.effect.do], { effect: due.effect.do, try: tries }, () =>
        deliver(due, this.#parts, AbortSignal.timeout(HOLD_MS)),
      );
      await database.write(async (tx) => {
        if (await settleEffect(tx, due)) await onDelivered(tx, due, refusal);
      });
      // What this effect held back in its lane, or has released, may be due now.
      this.wake();
    } catch (cause) {
      const { message } = toPlatformError(cause);
      const pause = delayMs(tries, settings.effectBackOff);
      log.warn(
        { order: due.order, effect: due.effect.do, tries, pause_ms: pause, error: cause },
        'An effect has not happened yet; it is tried again',
      );
      await database.write(async (tx) => await postponeEffect(tx, due, pause, message));
    }
  }
}

/** Settles some of the orders that wait for one that has ended; false where none is left to settle. */
async function settleSome(tx: Tx): Promise<boolean> {
  const due = await takeSettling(tx);
  if (due === undefined) return false;
  const order = await takeOrder(tx, due.order);
  if (order !== undefined) await settleWaiting(tx, order, due.effect.cause);
  return true;
}

/** What an effect that has happened changes here, in the transaction that settles it. */
async function onDelivered(
  tx: Tx,
  due: DueEffect<SingleEffect>,
  refusal: PlatformError | undefined,
): Promise<void> {
  const order = await takeOrder(tx, due.order);
  if (order === undefined) return;
  if (due.effect.do === 'publish_result' || due.effect.do === 'confirm_result')
    await onPublished(tx, order, refusal);
  if (laneOf(due.effect) === 'storage') return;
  const details = { what: due.effect.do, ...(refusal === undefined ? {} : { answer: refusal.message }) };
  await changeOrder(tx, order, { event: 'told', details });
}

const SPANS: Readonly<Record<SingleEffect['do'], string>> = {
  publish_result: 'publish result',
  confirm_result: 'confirm result',
  discard_results: 'discard results',
  remove_result: 'remove result',
  tell_taken: 'callback',
  tell_learn: 'callback',
  tell_predict: 'callback',
  tell_callback: 'callback of a job',
};
