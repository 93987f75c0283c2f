import { delayMs, toPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { inScope, silentTracer, type Tracer, tellSpan } from '@morpheo/service/trace';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { isAwaited, onChecked } from '../orders/checked.ts';
import type { DueEffect, PinnedRow } from './effects.ts';
import { type Asked, type PinStorage, pinAll, pinRequestOf } from './pins.ts';
import { postponeEffect, settleEffects } from './store.ts';

/** What {@link checkOrders} works with. */
export interface CheckParts {
  readonly database: ComputeDatabase;
  readonly storage: PinStorage;
  readonly settings: Pick<ComputeSettings, 'effectBackOff' | 'foreignWorkers' | 'wakeAgainMs'>;
  /** Makes checks spans of the traces that their orders belong to. */
  readonly tracer?: Tracer | undefined;
  readonly log: Log;
}

/**
 * Has storage check the orders of these effects, and settles the effects or puts them off. Returns the orders that
 * workers are to be woken for.
 */
export async function checkOrders(
  effects: readonly (DueEffect & { readonly row?: PinnedRow })[],
  { database, storage, settings, tracer = silentTracer, log }: CheckParts,
  signal: AbortSignal,
): Promise<OrderRow[]> {
  const startedAt = Date.now();
  const known = effects.flatMap(({ row }) => row ?? []);
  const orders = known.length === effects.length ? known : await awaitedOrders(database, effects);
  const { foreignWorkers } = settings;
  const requests = orders.map(pinRequestOf).map((one) => (foreignWorkers ? { ...one, keep_id: false } : one));
  const asked = await pinAll(storage, requests, signal);
  const answers = new Map(asked.map((one) => [one.order, one]));
  const due = await settle(database, effects, answers, settings);
  await postpone(database, effects, answers, settings, log);
  for (const { id: order, trace } of orders) {
    const about = { parent: trace ?? undefined, startedAt, order };
    inScope({ tracer, order, attempt: undefined }, () => tellSpan('check', about));
  }
  return due;
}

/** Of the orders of these effects, those that still wait for an answer. */
async function awaitedOrders({ read }: ComputeDatabase, effects: readonly DueEffect[]): Promise<OrderRow[]> {
  const ids = effects.map(({ order }) => order);
  const rows = await read.selectFrom('orders').selectAll().where('id', 'in', ids).execute();
  const ns = new Map(effects.map(({ order, n }) => [order, n]));
  return rows.filter((row) => isAwaited(row, ns.get(row.id) ?? 0));
}

/** Applies what was answered; of an order that nobody waits for any more, nothing is left to do. */
async function settle(
  database: ComputeDatabase,
  effects: readonly DueEffect[],
  answers: ReadonlyMap<string, Asked>,
  settings: CheckParts['settings'],
): Promise<OrderRow[]> {
  const answered = effects.filter((effect) => {
    const asked = answers.get(effect.order);
    return asked === undefined || 'answer' in asked;
  });
  return await database.write(async (tx) => {
    const settled = await settleEffects(tx, answered);
    const checked = answered.flatMap(({ order, n }) => {
      const asked = settled.has(order) ? answers.get(order) : undefined;
      return asked !== undefined && 'answer' in asked ? [{ order, n, answer: asked.answer }] : [];
    });
    return await onChecked(tx, checked, settings);
  });
}

async function postpone(
  database: ComputeDatabase,
  effects: readonly DueEffect[],
  answers: ReadonlyMap<string, Asked>,
  { effectBackOff }: CheckParts['settings'],
  log: Log,
): Promise<void> {
  const failed = effects.flatMap((effect) => {
    const asked = answers.get(effect.order);
    return asked !== undefined && 'error' in asked ? [{ effect, error: asked.error }] : [];
  });
  const [first] = failed;
  if (first === undefined) return;
  const about = { order: first.effect.order, orders: failed.length, tries: first.effect.tries + 1 };
  log.warn({ ...about, error: first.error }, 'Storage has not checked orders yet; it is asked again');
  await database.write(async (tx) => {
    for (const { effect, error } of failed) {
      const pause = delayMs(effect.tries + 1, effectBackOff);
      await postponeEffect(tx, effect, pause, toPlatformError(error).message);
    }
  });
}
