import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { uploadForm } from '@morpheo/client';
import { isPlatformError, type Learnuplet, learnuplet, preduplet } from '@morpheo/common';
import type { Random } from '@morpheo/real-parts';
import type { Cluster } from './cluster/cluster.ts';
import { drawJob, type JobGoods, type PlacedJob } from './jobs.ts';

const run = promisify(execFile);

/** What orders are made of. */
export interface Goods extends JobGoods {
  readonly workflow: string;
  readonly data: readonly string[];
}

/** Uploads a problem, algorithms and data. */
export async function uploadGoods({ storageApis: [storage] }: Cluster): Promise<Goods> {
  if (storage === undefined) throw new Error('There is no storage.');
  const upload = async (
    type: 'problem' | 'algo' | 'data',
    names: Record<string, string>,
    bytes: Uint8Array<ArrayBuffer>,
  ) => {
    const fields = { uuid: randomUUID(), ...names, size: String(bytes.length) };
    await storage.upload({
      params: { type },
      query: {},
      body: uploadForm({ fields, blob: new Blob([bytes]) }),
    });
    return fields.uuid;
  };
  const [problem, algo] = [await archive('problem'), await archive('algo')];
  const workflow = await upload('problem', { name: 'chaos', description: 'costs next to nothing' }, problem);
  const algos: string[] = [];
  for (let n = 0; n < 3; n += 1) algos.push(await upload('algo', { name: `algo ${n}` }, algo));
  const job = await upload('algo', { name: 'job' }, await archive('job'));
  const data: string[] = [];
  for (let n = 0; n < 5; n += 1)
    data.push(await upload('data', {}, new TextEncoder().encode(`${n} ${n % 2}\n`)));
  return { workflow, algos, archive: algo, job, data };
}

async function archive(program: 'problem' | 'algo' | 'job'): Promise<Uint8Array<ArrayBuffer>> {
  const folder = fileURLToPath(new URL(`../programs/${program}`, import.meta.url));
  const { stdout } = await run('tar', ['-czf', '-', '-C', folder, '.'], { encoding: 'buffer' });
  return new Uint8Array(stdout);
}

/** What customers were told. */
export interface Customers {
  /** The ids of orders that were answered with 202. */
  readonly accepted: Set<string>;
  /** Nobody asks for another try of an ended order. */
  readonly retried: ReadonlySet<string>;
  /** The jobs among the orders. */
  readonly jobs: PlacedJob[];
  /** How long the answer took, at each order, in milliseconds; with all that had to be tried again. */
  readonly waits: number[];
}

/** How orders are posted. */
export interface Posting {
  /** So many at least, and then more for as long as `isWanted`. */
  readonly orders: number;
  readonly isWanted: () => boolean;
  /** Between two, on average. */
  readonly paceMs: number;
  readonly unfinished: () => number;
  readonly mostUnfinished: number;
}

/** Posts orders one after another, each until it is accepted, and none while `mostUnfinished` are open. */
export async function postOrders(
  cluster: Cluster,
  goods: Goods,
  random: Random,
  { orders, isWanted, paceMs, unfinished, mostUnfinished }: Posting,
): Promise<Customers> {
  const customers: Customers = { accepted: new Set(), retried: new Set(), jobs: [], waits: [] };
  const posting: Promise<void>[] = [];
  let last: Learnuplet | undefined;
  for (let n = 0; n < orders || isWanted(); n += 1) {
    await sleep(random.between(0, paceMs * 2));
    while (unfinished() > mostUnfinished) await sleep(200);
    if (random.chance(0.2)) {
      const placed = drawJob(random, goods, customers.jobs.length);
      customers.jobs.push(placed);
      const { body } = placed;
      posting.push(post(body.uuid, async (api) => await api.postJob({ body })));
      continue;
    }
    const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: goods.workflow, status: 'todo' };
    if (last !== undefined && random.chance(0.35)) {
      const body = preduplet.parse({ ...ids, model: last.model_end, data: random.pick(goods.data) });
      posting.push(post(body.uuid, async (api) => await api.pred({ body })));
      continue;
    }
    const chain =
      last !== undefined && random.chance(0.15)
        ? { rank: last.rank + 1, model_start: last.model_end, algo: last.algo }
        : { rank: 0, algo: random.pick(goods.algos) };
    const data = {
      train_data: [random.pick(goods.data)],
      test_data: [random.pick(goods.data)],
      model_end: randomUUID(),
    };
    const body = learnuplet.parse({ ...ids, ...data, ...chain });
    const posted = post(body.uuid, async (api) => await api.learn({ body })).then(() => {
      // Nobody builds on an order before it was accepted: its model would be unknown.
      last = body;
    });
    posting.push(posted);
  }
  await Promise.all(posting);
  return customers;

  async function post(
    id: string,
    send: (api: Cluster['computeApis'][number]) => Promise<unknown>,
  ): Promise<void> {
    const from = performance.now();
    for (;;) {
      try {
        await send(random.pick(cluster.computeApis));
        break;
      } catch (error) {
        if (isPlatformError(error) && !error.retry) throw error;
        await sleep(200);
      }
    }
    customers.waits.push(performance.now() - from);
    customers.accepted.add(id);
  }
}
