import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient, storageClient } from '@morpheo/client';
import { type CallRequest, callAnswer } from '@morpheo/common';
import { z } from 'zod';
import { type BenchContext, type BenchSize, percentile, type Report, rateOf } from '../bench.ts';
import { load } from '../orders/load.ts';
import { uploadAlgo } from '../overhead/programs.ts';
import { startServer } from '../process/start-server.ts';
import { startBareRunner } from './bare-runner.ts';

/** How long each figure is measured, in milliseconds. */
const MS: Readonly<Record<BenchSize, number>> = { full: 20_000, quick: 5000, tiny: 50 };
const CALLERS = [1, 16] as const;
const FILE = Buffer.alloc(1024, 'x').toString('base64');
const AIMS = { p50: 5, perSecond: 500 };

const connection = z.object({
  storage: z.string(),
  compute: z.string(),
  credentials: z.object({ name: z.string(), secret: z.string() }),
});

interface Row {
  readonly what: string;
  readonly callers: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpu: number;
}

/** Synchronous calls of a warm program that does nothing, and of one that copies a file, beside the bare program. */
export async function warmCalls({ folder, size, say }: BenchContext): Promise<Report> {
  const ms = MS[size];
  const rows: Row[] = [];
  await mkdir(join(folder, 'bare'));
  {
    say('warm-calls: the bare program');
    await using bare = await startBareRunner(join(folder, 'bare'));
    for (const callers of CALLERS) {
      await bare.call();
      const rate = await rateOf(
        Array.from({ length: callers }, () => bare.call),
        ms,
      );
      rows.push({ what: 'bare process over the same socket', callers, ...rate, cpu: Number.NaN });
    }
  }
  await using server = await startServer('platform', [join(folder, 'home')]);
  const found = connection.parse(JSON.parse(await readFile(join(folder, 'home/connection.json'), 'utf8')));
  const { credentials } = found;
  const algo = await uploadAlgo(
    storageClient({ url: found.storage, credentials }),
    fileURLToPath(new URL('program/', import.meta.url)),
    ['Dockerfile', 'main.mjs'],
  );
  const compute = computeClient({ url: found.compute, credentials });
  const authorization = `Basic ${Buffer.from(`${credentials.name}:${credentials.secret}`).toString('base64')}`;
  const cases: readonly (readonly [string, CallRequest])[] = [
    ['call of a program that does nothing', { algo }],
    [
      'call of a program that copies 1 KiB',
      { algo, env: { COPY: '1' }, inputs: [{ path: '/in/file', inline: FILE }] },
    ],
  ];
  for (const [what, request] of cases) {
    for (const callers of CALLERS) {
      say(`warm-calls: ${what}, ${callers} callers`);
      await compute.postCall({ headers: {}, body: request });
      const body = JSON.stringify(request);
      const before = await server.usage();
      const { accepted, seconds, latencies } = await load({
        ...{ url: found.compute, path: '/v1/calls', callers, ms, status: 200, authorization },
        next: () => ({ id: '', body }),
        check: (answer) => demandRight(request, answer),
      });
      const used = (await server.usage()).cpuSeconds - before.cpuSeconds;
      rows.push({
        ...{ what, callers, perSecond: accepted.length / seconds },
        p50: percentile(latencies, 0.5),
        p99: percentile(latencies, 0.99),
        cpu: (used / accepted.length) * 1e6,
      });
    }
  }
  return reportOf(rows);
}

function demandRight({ inputs }: CallRequest, text: string): void {
  const { outputs } = callAnswer.parse(JSON.parse(text));
  const data = outputs.map((output) => output.data).join();
  if (data !== (inputs === undefined ? '' : FILE)) throw new Error(`A call was answered with ${text}`);
}

function reportOf(rows: readonly Row[]): Report {
  const [alone, sixteen] = rows.filter(({ what }) => what.endsWith('nothing'));
  return {
    name: 'warm-calls',
    title:
      'synchronous calls of a program that is warm, beside the bare program over the same kind of socket',
    rows: rows.map(({ what, callers, perSecond, p50, p99, cpu }) => ({
      ...{ what, callers, 'calls/s': perSecond, 'p50 ms': p50, 'p99 ms': p99 },
      'CPU µs a call': Number.isNaN(cpu) ? '' : Math.round(cpu).toLocaleString('en'),
    })),
    aims: [
      { what: 'p50 of a caller alone, ms', measured: alone?.p50 ?? Number.NaN, most: AIMS.p50 },
      {
        what: 'calls a second of 16 callers',
        measured: sixteen?.perSecond ?? Number.NaN,
        least: AIMS.perSecond,
      },
    ],
    notes: [
      'The platform is one process (compute-api, storage-api and a worker), and the program another; the CPU time is that of the platform.',
      'A runner ends after 1,000 calls, and its successor starts meanwhile: what that takes is in the figures.',
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
