import type { WhyView } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { lackOfGpus } from './gpu-why.ts';
import { hasEnded } from './order-queries.ts';
import { time } from './order-views.ts';
import { duration, standingOf } from './queue-place.ts';
import type { OrderRow, Schema } from './schema.ts';
import type { WorkerQueries } from './worker-queries.ts';

/** Says why an order is where it is: a code to act on, and one sentence to read. */
export async function whyOf(
  order: OrderRow,
  database: Database<Schema>,
  workers: WorkerQueries,
): Promise<WhyView> {
  if (hasEnded(order.status)) return ended(order);
  if (order.status === 'pending') return running(order);
  if (order.waits_for !== null) {
    const model = order.model_start ?? order.model;
    const sentence = `It waits for its start model ${model}, which order ${order.waits_for} is to make.`;
    return { code: 'waits_for_model', sentence, waits_for: order.waits_for };
  }
  if (await workers.paused()) {
    return {
      code: 'paused',
      sentence: 'An operator has paused the queue; nothing new starts until it is resumed.',
    };
  }
  const now = await workers.now();
  if (order.due_at > now) {
    const until = time(order.due_at);
    return {
      code: 'backing_off',
      sentence: `Its last attempt broke off${await reasonOf(order, database)}; it is tried again at ${until}.`,
      until,
    };
  }
  return await queued(order, database, workers);
}

function ended(order: OrderRow): WhyView {
  const failure = order.failure === null ? undefined : (JSON.parse(order.failure) as { message: string });
  const sentence =
    failure === undefined ? `It is ${order.status}.` : `It is ${order.status}: ${failure.message}`;
  return { code: 'ended', sentence };
}

function running(order: OrderRow): WhyView {
  if (order.lease_until === null) {
    return { code: 'publishing', sentence: 'It has succeeded; storage is being told to publish its result.' };
  }
  return { code: 'running', sentence: `Worker ${order.worker} runs it; this is attempt ${order.attempt}.` };
}

function secluded({ lost_beside, alone_on }: OrderRow): WhyView {
  const when =
    alone_on === null
      ? 'It starts when a worker that runs nothing else has its turn'
      : `Worker ${alone_on} takes nothing else until it has run it`;
  const sentence = `Its worker was lost ${lost_beside} times while it ran beside others, so it is run alone now. ${when}.`;
  return { code: 'workers_busy', sentence };
}

/** Why the last attempt broke off, to stand in a sentence. */
async function reasonOf(order: OrderRow, database: Database<Schema>): Promise<string> {
  const attempt = await database.read
    .selectFrom('attempts')
    .select('failure')
    .where('order_id', '=', order.id)
    .where('attempt', '=', order.attempt)
    .executeTakeFirst();
  if (attempt === undefined || attempt.failure === null) return '';
  const { message } = JSON.parse(attempt.failure) as { message: string };
  return ` (${message.slice(0, 500).replace(/\.$/, '')})`;
}

async function queued(order: OrderRow, database: Database<Schema>, workers: WorkerQueries): Promise<WhyView> {
  const slots = await workers.slots(order.kind);
  if (slots === 0) {
    const sentence = `No worker for ${order.kind} orders is alive; start one, or give one slots for this kind.`;
    return { code: 'no_worker', sentence };
  }
  const lack = lackOfGpus(order, await workers.gpus(order.kind));
  if (lack !== undefined) return lack;
  if (order.alone === 1) return secluded(order);
  const { before, startsInMs, basis } = await standingOf(order, { database, workerQueries: workers });
  const expected =
    startsInMs === undefined ? {} : { expected_start: time((await workers.now()) + startsInMs) };
  const starts =
    startsInMs === undefined ? basis : `It should start in about ${duration(startsInMs)}: ${basis}`;
  if (before === 0) {
    return {
      code: 'workers_busy',
      sentence: `It is next, as soon as one of ${slots} slots is free. ${starts}`,
      before: 0,
      ...expected,
    };
  }
  const others = before === 1 ? '1 order of its kind is' : `${before} orders of its kind are`;
  return {
    code: 'position',
    sentence: `By the owners' shares, ${others} before it, for ${slots} slots. ${starts}`,
    before,
    ...expected,
  };
}
