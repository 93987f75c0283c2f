import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient, storageClient } from '@morpheo/client';
import { type Api, type ComputeContract, hasEnded, job } from '@morpheo/common';
import { z } from 'zod';
import { type BenchContext, type BenchSize, type Rate, type Report, rateOf } from '../bench.ts';
import { uploadAlgo } from '../overhead/programs.ts';
import { startServer } from '../process/start-server.ts';
import { startBareRunner } from './bare-runner.ts';

/** How long each figure is measured, in milliseconds. */
const MS: Readonly<Record<BenchSize, number>> = { full: 20_000, quick: 5000, tiny: 50 };
const CALLERS = [1, 16] as const;
const BYTES = 1024;
const INPUT = { path: '/in/file', inline: Buffer.alloc(BYTES, 'x').toString('base64') };
const AIMS = { p50: 12, perSecond: 200 };

const connection = z.object({
  storage: z.string(),
  compute: z.string(),
  credentials: z.object({ name: z.string(), secret: z.string() }),
});

type Row = Rate & { readonly what: string; readonly callers: number; readonly cpu: number };

/** Jobs that are calls in a warm program which copies a file, until they are done, beside the bare program. */
export async function warmOrders({ folder, size, say }: BenchContext): Promise<Report> {
  const ms = MS[size];
  const rows: Row[] = [];
  await mkdir(join(folder, 'bare'));
  {
    await using bare = await startBareRunner(join(folder, 'bare'));
    for (const callers of CALLERS) {
      say(`warm-orders: the bare program, ${callers} callers`);
      await bare.call();
      const rate = await rateOf(
        Array.from({ length: callers }, () => bare.call),
        ms,
      );
      rows.push({ what: 'bare process over the same socket', callers, ...rate, cpu: Number.NaN });
    }
  }
  const home = join(folder, 'home');
  await using server = await startServer('platform', [home, '16']);
  const found = connection.parse(JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')));
  const { credentials } = found;
  const storage = storageClient({ url: found.storage, credentials });
  const compute = computeClient({ url: found.compute, credentials });
  const program = fileURLToPath(new URL('program/', import.meta.url));
  const algo = await uploadAlgo(storage, program, ['Dockerfile', 'main.mjs']);
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
  return reportOf(rows);
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

function reportOf(rows: readonly Row[]): Report {
  const [alone, sixteen] = rows.filter(({ what }) => what.startsWith('job'));
  return {
    name: 'warm-orders',
    title: 'durable jobs in a warm program, from their POST until they are done, beside the bare program',
    rows: rows.map(({ what, callers, perSecond, p50, p99, cpu }) => ({
      ...{ what, callers, 'calls/s': perSecond, 'p50 ms': p50, 'p99 ms': p99 },
      'CPU µs each': Number.isNaN(cpu) ? '' : Math.round(cpu).toLocaleString('en'),
    })),
    aims: [
      { what: 'p50 of a caller alone, ms', measured: alone?.p50 ?? Number.NaN, most: AIMS.p50 },
      {
        what: 'jobs a second of 16 callers',
        measured: sixteen?.perSecond ?? Number.NaN,
        least: AIMS.perSecond,
      },
    ],
    notes: [
      'The platform is one process (compute-api, storage-api and a worker with 16 slots for jobs) on SQLite; its CPU time is told. Each caller follows the history of its job, in the process of the benchmark.',
      'A job has an input of 1 KiB, and leaves a copy of it on storage, synced and published.',
      'Bare: the program is asked by a socket and nothing else; it has no files.',
    ],
    bars: rows.map(({ what, callers, p50 }) => ({
      label: `${what}, ${callers} callers`,
      value: p50,
      unit: 'ms',
      plain: what.startsWith('bare'),
    })),
  };
}
