import { describeTerms, type Failure, hasEnded, termsOf, type WhyView } from '@morpheo/common';
import type { ComputeSettings } from '../config.ts';
import { type ComputeDatabase, timeOf } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { failureFor } from '../disclosure/redact.ts';
import type { Viewer } from '../disclosure/shown.ts';
import { specOf, startModelOf } from '../orders/store.ts';
import { time } from '../orders/views.ts';
import type { Effect } from '../outbox/effects.ts';
import { gpusFor, type Lack, lacksOf, slotsFor, type WorkerGpus } from '../workers/able.ts';
import { isPaused } from '../workers/store.ts';
import { reservedBy } from './gpu-reservation.ts';
import { isIsolated, isolatedOn } from './isolation.ts';
import { duration, mostGpus, standingOf } from './position.ts';

/** Says why an order is where it is: a code to act on, and one sentence to read. */
export async function explain(
  order: OrderRow,
  viewer: Viewer,
  database: ComputeDatabase,
  { leaseMs, foreignWorkers }: Pick<ComputeSettings, 'leaseMs' | 'foreignWorkers'>,
): Promise<WhyView> {
  if (hasEnded(order.status)) return ended(order, viewer);
  if (order.status === 'pending') return running(order);
  if (order.waits_for !== null) {
    const sentence = `It waits for its start model ${startModelOf(order)}, which order ${order.waits_for} is to make.`;
    return { code: 'waits_for_model', sentence, waits_for: order.waits_for };
  }
  if (order.status === 'waiting') return await beingChecked(order, database);
  if (await isPaused(database.read)) {
    return {
      code: 'paused',
      sentence: 'An operator has paused the queue; nothing new starts until it is resumed.',
    };
  }
  const now = await timeOf(database);
  if (order.due_at > now) {
    const until = time(order.due_at);
    return {
      code: 'backing_off',
      sentence: `Its last attempt broke off${await reasonOf(order, viewer, database)}; it is tried again at ${until}.`,
      until,
    };
  }
  if (foreignWorkers !== undefined) return onQueue(order);
  return await queued(order, database, leaseMs);
}

/** Of an order for a worker of the originals: it is not known where in the queue it stands. */
function onQueue({ publish_after }: OrderRow): WhyView {
  const sentence =
    publish_after === null
      ? 'It is on the queue, until a worker of the original takes it. It is not put there again: if the queue has lost it, cancel it and retry it.'
      : 'It is about to be put on the queue, for a worker of the original.';
  return { code: 'workers_busy', sentence };
}

async function beingChecked(order: OrderRow, { read }: ComputeDatabase): Promise<WhyView> {
  const effect = await read
    .selectFrom('outbox')
    .select(['tries', 'due_at', 'effect'])
    .where('order_id', '=', order.id)
    .where('lane', '=', 'storage')
    .where('tries', '>', 0)
    .orderBy('n')
    .limit(1)
    .executeTakeFirst();
  if (effect === undefined) {
    const sentence = 'Storage is asked whether its owner may use what it names, and to hold that for it.';
    return { code: 'being_checked', sentence };
  }
  const until = time(Number(effect.due_at));
  if ((JSON.parse(effect.effect) as Effect).do === 'remove_result') {
    const sentence = `What it left before is removed first, which waits while another open order reads it (asked ${effect.tries} times). It is asked again at ${until}.`;
    return { code: 'being_checked', sentence, until };
  }
  const sentence = `Storage has to hold what it names before it may start, and has not answered yet (asked ${effect.tries} times). It is asked again at ${until}.`;
  return { code: 'storage_away', sentence, until };
}

function ended(order: OrderRow, viewer: Viewer): WhyView {
  const failure =
    order.failure === null ? undefined : failureFor(viewer, order, JSON.parse(order.failure) as Failure);
  const sentence =
    failure === undefined ? `It is ${order.status}.` : `It is ${order.status}: ${failure.message}`;
  return { code: 'ended', sentence };
}

function running(order: OrderRow): WhyView {
  if (order.lease_until === null) {
    const what = order.failure === null ? 'It has succeeded' : 'It has failed, and its outputs are kept';
    return { code: 'publishing', sentence: `${what}; storage is being told to publish its result.` };
  }
  return { code: 'running', sentence: `Worker ${order.worker} runs it; this is attempt ${order.attempt}.` };
}

function isolated(order: OrderRow): WhyView {
  const worker = isolatedOn(order);
  const when =
    worker === null
      ? 'It starts when a worker that runs nothing else has its turn'
      : `Worker ${worker} takes nothing else until it has run it`;
  const sentence = `Its worker was lost ${order.lost_beside} times while it ran beside others, so it is run alone now. ${when}.`;
  return { code: 'workers_busy', sentence };
}

/** Why the last attempt broke off, to stand in a sentence. */
async function reasonOf(order: OrderRow, viewer: Viewer, database: ComputeDatabase): Promise<string> {
  const attempt = await database.read
    .selectFrom('attempts')
    .select('failure')
    .where('order_id', '=', order.id)
    .where('attempt', '=', order.attempt)
    .executeTakeFirst();
  if (attempt === undefined || attempt.failure === null) return '';
  const { message } = failureFor(viewer, order, JSON.parse(attempt.failure) as Failure);
  return ` (${message.slice(0, 500).replace(/\.$/, '')})`;
}

async function queued(order: OrderRow, database: ComputeDatabase, leaseMs: number): Promise<WhyView> {
  const lacks = await lacksOf(database, leaseMs, order);
  if (lacks.length === 0) {
    const sentence = `No worker for ${order.kind} orders is alive; start one, or give one slots for this kind.`;
    return { code: 'no_worker', sentence };
  }
  const lack = lackOfOffers(order, lacks) ?? lackOfGpus(order, await gpusFor(database, leaseMs, order));
  if (lack !== undefined) return lack;
  const all = `${await slotsFor(database, leaseMs, order)} slots`;
  const slots = order.needs === '' ? all : `${all} of workers that offer ${describeTerms(neededBy(order))}`;
  if (isIsolated(order)) return isolated(order);
  const { before, startsInMs, basis } = await standingOf(order, database, leaseMs);
  const expected =
    startsInMs === undefined ? {} : { expected_start: time((await timeOf(database)) + startsInMs) };
  const starts =
    startsInMs === undefined ? basis : `It should start in about ${duration(startsInMs)}: ${basis}`;
  if (before === 0) {
    return {
      code: 'workers_busy',
      sentence: `It is next, as soon as one of ${slots} is free. ${starts}`,
      before: 0,
      ...expected,
    };
  }
  const others = before === 1 ? '1 order of its kind is' : `${before} orders of its kind are`;
  return {
    code: 'position',
    sentence: `By the owners' shares, ${others} before it, for ${slots}. ${starts}`,
    before,
    ...expected,
  };
}

/** Why no worker can run an order, by what it needs; undefined where one that lives offers all of that, and is for such orders. */
function lackOfOffers(order: OrderRow, workers: readonly Lack[]): WhyView | undefined {
  if (workers.some(({ terms, demands }) => terms.length === 0 && demands.length === 0)) return undefined;
  const able = workers.filter(({ terms }) => terms.length === 0);
  if (able.length > 0) return dedicatedTo(order, able);
  const [nearest, ...others] = workers.toSorted((a, b) => a.terms.length - b.terms.length);
  if (nearest === undefined) return undefined;
  const nowhere = nearest.terms.filter((term) => others.every(({ terms }) => terms.includes(term)));
  const advice = 'Start one that does, or cancel it and order it again without';
  if (nowhere.length === 1 && nowhere[0] === 'runtime=docker') {
    const sentence = `It needs Docker, and no living worker for ${order.kind} orders runs containers in Docker. ${advice}.`;
    return { code: 'needs_docker', sentence };
  }
  const sentence =
    nowhere.length > 0
      ? `No living worker for ${order.kind} orders offers ${describeTerms(nowhere)}. ${advice}.`
      : `No living worker for ${order.kind} orders offers all that it needs, ${describeTerms(neededBy(order))}: worker ${nearest.worker} comes nearest, and lacks ${describeTerms(nearest.terms)}. ${advice}.`;
  return { code: 'no_worker_offers', sentence };
}

/** Of an order that all workers which could run it are closed to. */
function dedicatedTo(order: OrderRow, able: readonly Lack[]): WhyView {
  const demanded = [...new Set(able.flatMap(({ demands }) => demands))];
  const needs = order.needs === '' ? '' : ` that offers ${describeTerms(neededBy(order))}`;
  const sentence = `Every living worker for ${order.kind} orders${needs} is dedicated to orders that need ${describeTerms(demanded)}, which it does not. Start one that is not, or cancel it and order it again with that need.`;
  return { code: 'workers_dedicated', sentence };
}

/** What an order needs, by terms. */
function neededBy(order: OrderRow): string[] {
  return termsOf(specOf(order).uplet.needs ?? {});
}

/** Why an order that asks for GPUs does not get them; undefined where it could, as far as GPUs go. */
function lackOfGpus(order: OrderRow, workers: readonly WorkerGpus[]): WhyView | undefined {
  if (order.gpus === 0) return undefined;
  const asks = `It asks for ${gpuCount(order.gpus)}`;
  const most = mostGpus(workers);
  if (most < order.gpus) {
    const there =
      most === 0 ? `no living worker for ${order.kind} orders has one` : `the worker with most has ${most}`;
    const advice = 'Start a worker that has as many, or cancel it and order it again with fewer.';
    return { code: 'too_few_gpus', sentence: `${asks}; ${there}. ${advice}` };
  }
  const able = workers.filter(({ total }) => total >= order.gpus);
  if (able.some(({ free }) => free >= order.gpus)) return undefined;
  const { free, total } = able.reduce((best, next) => (next.free > best.free ? next : best));
  const by = reservedBy(order);
  const reserved = able.some(({ worker }) => worker === by)
    ? ` Worker ${by} keeps those that come free for it.`
    : '';
  return {
    code: 'gpus_busy',
    sentence: `${asks}; the worker with most to spare has ${free} of its ${total} free.${reserved}`,
  };
}

function gpuCount(gpus: number): string {
  return gpus === 1 ? '1 GPU' : `${gpus} GPUs`;
}
