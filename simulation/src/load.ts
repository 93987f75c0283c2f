import {
  type Api,
  type ComputeContract,
  isPlatformError,
  type Job,
  job,
  type Learnuplet,
  learnuplet,
  type Preduplet,
  preduplet,
} from '@morpheo/common';
import type { Random } from '@morpheo/real-parts';
import { sleep } from './parts/virtual-time.ts';
import type { Trace } from './trace.ts';

/** What the customers of a world know: the orders that they were told are accepted, and what they asked for later. */
export interface Customers {
  readonly accepted: Set<string>;
  readonly retried: Set<string>;
}

type Posted =
  | { readonly kind: 'learn'; readonly body: Learnuplet }
  | { readonly kind: 'predict'; readonly body: Preduplet }
  | { readonly kind: 'job'; readonly body: Job };

/** The groups that some orders are placed in. */
const GROUPS = ['odd', 'even'] as const;

/**
 * Orders are posted, each again and again until it is accepted; some are cancelled or asked to be tried again, alone or with
 * their group.
 */
export async function haveOrdersPosted({
  random,
  trace,
  api,
  orders,
  withinMs,
}: {
  random: Random;
  trace: Trace;
  api: Api<ComputeContract>;
  orders: number;
  withinMs: number;
}): Promise<Customers> {
  const customers: Customers = { accepted: new Set(), retried: new Set() };
  const posted = drawOrders(random, orders);
  await Promise.all([
    ...posted.map(async (order) => {
      await sleep(random.between(0, withinMs));
      await post(api, order);
      customers.accepted.add(order.body.uuid);
      trace.say('customer', `${order.body.uuid.slice(0, 8)} was accepted`);
      await changeMind(order);
    }),
    ...GROUPS.map(changeGroup),
  ]);
  return customers;

  async function changeGroup(name: (typeof GROUPS)[number]): Promise<void> {
    for (const what of ['cancelOrderGroup', 'retryOrderGroup'] as const) {
      if (!random.chance(0.4)) continue;
      await sleep(random.between(0, withinMs / 2));
      trace.say('customer', `asks for ${what} of ${name}`);
      const inGroup = posted.filter(({ body }) => body.group === name).map(({ body }) => body.uuid);
      if (what === 'retryOrderGroup') for (const id of inGroup) customers.retried.add(id);
      const call = { signal: AbortSignal.timeout(5000) };
      const input = { params: { name }, query: {}, body: { cancelled: random.chance(0.5) } };
      await api[what](input, call).catch(() => undefined);
    }
  }

  async function changeMind({ kind, body: { uuid: id } }: Posted): Promise<void> {
    for (const what of ['cancelOrder', 'retryOrder'] as const) {
      // What a job that failed has left goes when it is tried again.
      if (!random.chance(kind === 'job' && what === 'retryOrder' ? 0.5 : 0.15)) continue;
      await sleep(random.between(0, withinMs / 2));
      trace.say('customer', `asks for ${what} of ${id.slice(0, 8)}`);
      if (what === 'retryOrder') customers.retried.add(id);
      await api[what]({ params: { id } }, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    }
  }
}

async function post(api: Api<ComputeContract>, order: Posted): Promise<void> {
  for (;;) {
    try {
      const patience = { signal: AbortSignal.timeout(5000) };
      if (order.kind === 'learn') await api.learn({ body: order.body }, patience);
      else if (order.kind === 'predict') await api.pred({ body: order.body }, patience);
      else await api.postJob({ body: order.body }, patience);
      return;
    } catch (error) {
      // Its group was cancelled: it is placed in none.
      if (isPlatformError(error, 'wrong_state')) return await post(api, inNoGroup(order));
      if (isPlatformError(error) && !error.retry) throw error;
      await sleep(500);
    }
  }
}

function inNoGroup(order: Posted): Posted {
  if (order.kind === 'learn') return { kind: 'learn', body: { ...order.body, group: undefined } };
  if (order.kind === 'job') return { kind: 'job', body: { ...order.body, group: undefined } };
  return { kind: 'predict', body: { ...order.body, group: undefined } };
}

function drawOrders(random: Random, orders: number): Posted[] {
  const posted: Posted[] = [];
  const outputs: string[] = [];
  let last: Learnuplet | undefined;
  for (let i = 0; i < orders; i += 1) {
    const group = random.chance(0.5) ? random.pick(GROUPS) : undefined;
    const ids = {
      ...{ uuid: random.uuid(), problem: random.uuid(), workflow: random.uuid() },
      ...{ status: 'todo', group },
    };
    if (random.chance(0.3)) {
      const model = random.chance(0.5) ? last?.model_end : undefined;
      posted.push({
        kind: 'predict',
        body: preduplet.parse({ ...ids, model: model ?? random.uuid(), data: random.uuid() }),
      });
      continue;
    }
    if (random.chance(0.3)) {
      posted.push({ kind: 'job', body: drawJob(random, group, outputs) });
      continue;
    }
    const chain =
      random.chance(0.4) && last !== undefined
        ? { rank: last.rank + 1, model_start: last.model_end }
        : { rank: 0 };
    const data = { train_data: [random.uuid()], test_data: [random.uuid()], model_end: random.uuid() };
    last = learnuplet.parse({ ...ids, ...data, ...chain, algo: random.uuid() });
    posted.push({ kind: 'learn', body: last });
  }
  return posted;
}

/** A job, of which every other one reads what an earlier one leaves; `outputs` are their ids, and get its own. */
function drawJob(random: Random, group: string | undefined, outputs: string[]): Job {
  const read = outputs.length > 0 && random.chance(0.5) ? random.pick(outputs) : undefined;
  const output = random.uuid();
  outputs.push(output);
  return job.parse({
    ...{ uuid: random.uuid(), algo: random.uuid(), output },
    ...(read === undefined ? {} : { inputs: [{ path: '/in', resource: { type: 'output', uuid: read } }] }),
    ...(group === undefined ? {} : { group }),
  });
}
