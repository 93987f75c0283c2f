import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Api, type ComputeContract, hasEnded, job } from '@morpheo/common';
import { type BenchContext, type Report, rateOf } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { BARE, bareRows, CALLERS, MS, openPlatform, reportOf } from './figures.ts';

const BYTES = 1024;
const INPUT = { path: '/in/file', inline: Buffer.alloc(BYTES, 'x').toString('base64') };
const AIMS = { p50: 12, perSecond: 200 };

/** Jobs that are calls in a warm program which copies a file, until they are done, beside the bare program. */
export async function warmOrders(context: BenchContext): Promise<Report> {
  const { folder, size, say } = context;
  const ms = MS[size];
  const rows = await bareRows('warm-orders', context);
  const home = join(folder, 'home');
  await using server = await startServer('platform', [home, '16']);
  const { storage, compute, algo } = await openPlatform(home);
  const order = async () => await demandDone(compute, algo);
  for (const callers of CALLERS) {
    say(`warm-orders: ${callers} callers`);
    await order();
    const before = await server.usage();
    const orders = await countDone(compute);
    const rate = await rateOf(
      Array.from({ length: callers }, () => async () => void (await order())),
      ms,
    );
    const used = (await server.usage()).cpuSeconds - before.cpuSeconds;
    const done = (await countDone(compute)) - orders;
    rows.push({ what: 'job in a warm program', callers, ...rate, cpu: (used / done) * 1e6 });
  }
  const { items } = await storage.listOutputFiles({ params: { uuid: await order() }, query: {} });
  if (items[0]?.size !== BYTES) throw new Error(`A job left ${JSON.stringify(items)}`);
  return reportOf(rows, {
    name: 'warm-orders',
    title: 'durable jobs in a warm program, from their POST until they are done, beside the bare program',
    measured: rows.filter(({ what }) => what.startsWith('job')),
    many: 'jobs',
    aims: AIMS,
    notes: [
      'The platform is one process (compute-api, storage-api and a worker with 16 slots for jobs) on SQLite; its CPU time is told. Each caller follows the history of its job, in the process of the benchmark.',
      'A job has an input of 1 KiB, and leaves a copy of it on storage, synced and published.',
      BARE,
    ],
  });
}

/** Orders a job and follows it until it is done; returns the id of its output. */
async function demandDone(compute: Api<ComputeContract>, algo: string): Promise<string> {
  const id = randomUUID();
  const body = job.parse({ uuid: id, algo, warm: 'runner', env: { COPY: '1' }, inputs: [INPUT] });
  const { output = '' } = await compute.postJob({ body });
  for await (const { data } of await compute.orderEvents({ params: { id }, headers: {} })) {
    if (data.what === 'done') return output;
    if (hasEnded(data.status)) throw new Error(`The job ${id} ended so: ${JSON.stringify(data)}`);
  }
  throw new Error(`The history of the job ${id} ended before it was done`);
}

async function countDone(compute: Api<ComputeContract>): Promise<number> {
  return (await compute.listOrders({ query: { kind: 'job', status: 'done', limit: 1 } })).total ?? Number.NaN;
}
