import { isPlatformError, type OrderSpec, type PlatformError, toPlatformError } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Database } from '@morpheo/service/database';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { inScope, silentTracer, span, type Tracer } from '@morpheo/service/trace';
import { type BackOff, delayMs } from './back-off.ts';
import { carryOut, type Systems } from './carry-out.ts';
import type { Endings } from './endings.ts';
import { type OrderStore, specOf } from './order-store.ts';
import type { DueEffect, OutboxStore } from './outbox-store.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';
import { queueMessage, TOPICS } from './wire.ts';

/** How many rows one round takes: bounds the memory and the length of a transaction. */
const ROUND = 100;
/** How long one effect may take; as long nobody else tries it. */
const HOLD_MS = 30_000;

/** Carries decided things out: wakes workers through the broker, and has effects happen elsewhere. */
export interface Relay {
  /** There may be something to do. */
  wake(): void;
  /** Wakes workers for an order that was just committed, without a further look at the database. */
  announce(order: OrderSpec): void;
  /** Stops after the round under way. What is left stays due, for the next process. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the relay works with. */
export interface RelayParts extends Systems {
  readonly database: Database<Schema>;
  readonly store: OrderStore;
  readonly outbox: OutboxStore;
  readonly endings: Endings;
  readonly broker: Broker;
  readonly backOff: BackOff;
  readonly everyMs: number;
  /** Makes effects spans of the traces that their orders belong to. */
  readonly tracer?: Tracer | undefined;
  readonly log: Log;
  readonly changed: (order: string) => void;
}

/** Starts the {@link Relay}. */
export function startRelay(parts: RelayParts): Relay {
  const { everyMs, log } = parts;
  const publications = startLoop({
    name: 'publications',
    everyMs,
    log,
    work: async () => await publishRound(parts),
  });
  const effects = startLoop({
    name: 'effects',
    everyMs,
    log,
    work: async () => await effectRound(parts, () => wake()),
  });
  const loops: readonly Loop[] = [publications, effects];
  function wake(): void {
    for (const loop of loops) loop.wake();
  }
  function announce(order: OrderSpec): void {
    publish(parts, order).catch((err: unknown) => {
      log.debug({ order: order.uplet.uuid, err }, 'Workers could not be told; they are when it is due again');
    });
  }
  return {
    wake,
    announce,
    async [Symbol.asyncDispose]() {
      await Promise.all(loops.map(async (loop) => await loop[Symbol.asyncDispose]()));
    },
  };
}

async function publish({ broker }: RelayParts, order: OrderSpec): Promise<void> {
  const topic = TOPICS[order.kind];
  await span('publish', { topic }, async () => await broker.publish(topic, queueMessage(order)));
}

async function publishRound(parts: RelayParts): Promise<void> {
  const { database, outbox } = parts;
  for (;;) {
    const orders = await database.write(async (tx) => await outbox.takeWakeUps(tx, ROUND));
    for (const order of orders) await onBehalf(parts, order, () => publish(parts, specOf(order)));
    if (orders.length < ROUND) return;
  }
}

async function effectRound(parts: RelayParts, wake: () => void): Promise<void> {
  const { database, outbox } = parts;
  for (;;) {
    const due = await database.write(async (tx) => await outbox.takeEffects(tx, ROUND, HOLD_MS));
    await Promise.all(
      due.map(async (effect) => {
        const order = { id: effect.order, trace: effect.trace };
        await onBehalf(parts, order, () => attempt(parts, effect, wake));
      }),
    );
    if (due.length < ROUND) return;
  }
}

/** Does work for an order, as spans of its trace if it has one. */
async function onBehalf<T>(
  { tracer = silentTracer }: RelayParts,
  { id, trace }: Pick<OrderRow, 'id' | 'trace'>,
  work: () => Promise<T>,
): Promise<T> {
  const traced = trace === null ? silentTracer : tracer;
  return await inScope({ tracer: traced, traceparent: trace ?? undefined, order: id }, work);
}

const SPANS: Readonly<Record<DueEffect['effect']['do'], string>> = {
  publish_result: 'publish result',
  discard_results: 'discard results',
  tell_taken: 'callback',
  tell_learn: 'callback',
  tell_predict: 'callback',
};

async function attempt(parts: RelayParts, due: DueEffect, wake: () => void): Promise<void> {
  const { database, outbox, log, backOff, changed } = parts;
  try {
    const told = { effect: due.effect.do, try: due.tries + 1 };
    const refusal = await span(SPANS[due.effect.do], told, () =>
      carryOut(due, parts, AbortSignal.timeout(HOLD_MS)),
    );
    await database.write(async (tx) => {
      if (await outbox.settle(tx, due)) await follow(tx, parts, due, refusal);
    });
    changed(due.order);
    // What this effect held back in its lane, or has released, may be due now.
    wake();
  } catch (cause) {
    const error = toPlatformError(cause);
    const pause = delayMs(backOff, due.tries + 1);
    log.warn(
      { order: due.order, effect: due.effect.do, tries: due.tries + 1, pause_ms: pause, err: cause },
      'An effect has not happened yet; it is tried again',
    );
    await database.write(async (tx) => await outbox.postpone(tx, due, pause, error.message));
  }
}

/** What a settled effect changes here, in the transaction that settles it. */
async function follow(
  tx: Tx,
  parts: RelayParts,
  due: DueEffect,
  refusal: PlatformError | undefined,
): Promise<void> {
  const { store, endings } = parts;
  const order = await store.take(tx, due.order);
  if (order === undefined) return;
  if (due.effect.do === 'publish_result') {
    if (order.status === 'pending' && order.lease_until === null)
      await endPublished(tx, endings, order, refusal);
    return;
  }
  if (due.effect.do === 'discard_results') return;
  const details = { what: due.effect.do, ...(refusal === undefined ? {} : { answer: refusal.message }) };
  await store.change(tx, order, {}, { what: 'told', details });
}

async function endPublished(
  tx: Tx,
  endings: Endings,
  order: OrderRow,
  refusal: PlatformError | undefined,
): Promise<void> {
  if (refusal === undefined) {
    await endings.end(tx, order, { status: 'done' });
    return;
  }
  const theirs = isPlatformError(refusal, 'conflict');
  const reason = theirs ? 'invalid_result' : 'internal';
  const message = `Storage refused to publish the result: ${refusal.message}`;
  await endings.end(tx, order, { status: 'failed', failure: { reason, message, step: 'results' } });
}
