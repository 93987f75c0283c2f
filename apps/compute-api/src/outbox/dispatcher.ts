import {
  delayMs,
  gather,
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
import type { ComputeDatabase, Outgoing, Relay, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { handToForeignWorkers } from '../foreign/messages.ts';
import { onPublished, settleWaiting } from '../orders/finish.ts';
import { specOf, takeOrder } from '../orders/store.ts';
import { checkOrders } from './check-orders.ts';
import {
  type DueEffect,
  deliver,
  type Effect,
  type HeldEffect,
  type Lane,
  laneOf,
  PIN_ORDER,
  type SingleEffect,
  type Systems,
  type Which,
} from './effects.ts';
import { queueMessage } from './message.ts';
import { settleAndTake, settleAndTell } from './settle.ts';
import { postponeEffect, takeEffects, takePins, takeSettling, takeWakeUps, type WakeUp } from './store.ts';

/** How many rows one round takes: bounds the memory and the length of a transaction. */
const ROUND = 100;
/** How long one effect may take; as long nobody else tries it. */
const HOLD_MS = 30_000;
/** How long nobody else tries a new effect of this process: shorter, for it may die before it has begun. */
const HOLD_NEW_MS = 10_000;
/** So many effects at once are carried out as soon as they are committed; beyond, they are taken from the outbox in rounds. */
const MOST_HELD = 200;

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
export class Dispatcher implements Relay, AsyncDisposable {
  readonly #parts: DispatcherParts;
  readonly #loops: Readonly<Record<Which | 'publications', Loop>>;
  readonly #check: (effect: HeldEffect) => Promise<void>;
  /** What was committed here and is carried out without a look at the outbox. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** Of what sort there are effects that became due meanwhile, and may have to wait for one of those. */
  readonly #behind = new Set<Which>();
  #isStopping: boolean = false;

  /** Starts it. */
  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    const { log, settings } = parts;
    const loop = (name: string, work: (signal: AbortSignal) => Promise<void>) =>
      startLoop({ name, everyMs: settings.everyMs, log, work });
    this.#loops = {
      pins: loop('checks', async () => await this.#checkRound()),
      publications: loop('publications', async () => await this.#publishRound()),
      others: loop('effects', async () => await this.#effectRound('others')),
      callbacks: loop('callbacks', async () => await this.#effectRound('callbacks')),
      orders: loop('waiting orders', async (signal) => await this.#settleRounds(signal)),
    };
    this.#check = gather<HeldEffect, void>(
      async (effects) => {
        // Whatever is left is due again soon, for the next process.
        if (!this.#isStopping) await this.#checkThose(effects);
        return effects.map(() => ({ status: 'fulfilled', value: undefined }));
      },
      { most: ROUND },
    );
  }

  /** There may be something to do. */
  wake(): void {
    for (const loop of Object.values(this.#loops)) loop.wake();
  }

  /** There may be orders to announce. */
  publish(): void {
    this.#loops.publications.wake();
  }

  /** See {@link Relay}. */
  holdMs(): number {
    return this.#underWay.size < MOST_HELD ? HOLD_NEW_MS : 0;
  }

  /** See {@link Relay}. */
  carry({ held, due }: Outgoing): void {
    for (const which of due) {
      this.#loops[which].wake();
      if (this.#underWay.size > 0) this.#behind.add(which);
    }
    for (const effect of held) {
      const key = keyOf(effect.order, effect.n);
      const done = this.#carryHeld(effect).finally(() => {
        this.#underWay.delete(key);
        this.#wakeThoseBehind();
      });
      this.#underWay.set(key, done);
    }
  }

  /** What was not to be had while another of its lane was under way may be now. */
  #wakeThoseBehind(): void {
    for (const which of this.#behind) this.#loops[which].wake();
    this.#behind.clear();
  }

  /** Stops after what is under way. What is left stays due, for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    await Promise.all(Object.values(this.#loops).map(async (loop) => await loop[Symbol.asyncDispose]()));
    while (this.#underWay.size > 0) await Promise.all(this.#underWay.values());
  }

  /** Never rejects: an effect that did not happen is due again when it is held no more. */
  async #carryHeld(due: HeldEffect): Promise<void> {
    try {
      if (isPin(due.effect)) await this.#check(due);
      else if (isSingle(due.effect)) {
        const { effect } = due;
        const order = { id: due.order, trace: due.trace };
        await this.#onBehalf(order, async () => await this.#carryOut({ ...due, effect }));
      }
    } catch (error) {
      this.#parts.log.warn(
        { order: due.order, effect: due.effect.do, error },
        'An effect was not carried out; it is taken up again',
      );
    }
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
      const free = this.#notUnderWay(effects);
      if (free.length > 0) await this.#checkThose(free);
      if (effects.length < ROUND) return;
    }
  }

  async #checkThose(effects: readonly DueEffect[]): Promise<void> {
    const due = await whileHeld((signal) => checkOrders(effects, this.#parts, signal));
    if (this.#parts.settings.foreignWorkers === undefined) {
      for (const order of due) this.#announce(order);
    } else this.publish();
    // Whoever was refused, or has ended meanwhile, has other effects that may be due now.
    if (due.length < effects.length) this.#wakeBehind('storage');
  }

  /** What is under way here for longer than it was held is not begun once more; nobody else does either, since it was taken. */
  #notUnderWay<E extends DueEffect>(effects: readonly E[]): E[] {
    return effects.filter(({ order, n }) => !this.#underWay.has(keyOf(order, n)));
  }

  /** What an effect held back in its lane may be due now. */
  #wakeBehind(lane: Lane): void {
    if (lane === 'storage') this.#loops.pins.wake();
    this.#loops[lane === 'callback' ? 'callbacks' : 'others'].wake();
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
        this.#notUnderWay(effects).map(async (due) => {
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
    while (!signal.aborted && (await database.write(settleSome)));
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
        whileHeld((signal) => deliver(due, this.#parts, signal)),
      );
      const isMore = await onDelivered(database, due, refusal);
      if (isMore) this.#wakeBehind(laneOf(due.effect));
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

/** Does what effects say, with a signal that aborts when they are held for it no longer; nothing of that is left behind. */
async function whileHeld<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = () => over.abort(new DOMException('An effect took too long.', 'TimeoutError'));
  const timer = setTimeout(late, HOLD_MS).unref();
  try {
    return await work(over.signal);
  } finally {
    clearTimeout(timer);
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

/** What an effect that has happened changes here, its settlement included; whether it held others back. */
async function onDelivered(
  database: ComputeDatabase,
  due: DueEffect<SingleEffect>,
  refusal: PlatformError | undefined,
): Promise<boolean> {
  const { do: what } = due.effect;
  if (laneOf(due.effect) !== 'storage') {
    const details = { what, ...(refusal === undefined ? {} : { answer: refusal.message }) };
    return await settleAndTell(database, due, details);
  }
  return await database.write(async (tx) => {
    const settled = await settleAndTake(tx, due);
    if (settled === undefined) return false;
    if (what === 'publish_result' || what === 'confirm_result') await onPublished(tx, settled.order, refusal);
    return settled.isMore;
  });
}

function keyOf(order: string, n: number): string {
  return `${order} ${n}`;
}

function isPin(effect: Effect): boolean {
  return effect.do === PIN_ORDER.do;
}

function isSingle(effect: Effect): effect is SingleEffect {
  return effect.do !== 'settle_waiting' && !isPin(effect);
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
