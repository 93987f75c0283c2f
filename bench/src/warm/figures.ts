import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient, storageClient } from '@morpheo/client';
import { z } from 'zod';
import { type Aim, type BenchContext, type BenchSize, type Rate, type Report, rateOf } from '../bench.ts';
import { uploadAlgo } from '../overhead/programs.ts';
import { startBareRunner } from './bare-runner.ts';

/** How long each figure is measured, in milliseconds. */
export const MS: Readonly<Record<BenchSize, number>> = { full: 20_000, quick: 5000, tiny: 50 };
/** What a reader has to know of the bare program that does nothing. */
export const BARE = 'Bare: the program is asked by a socket and nothing else; it has no files.';

/** How many callers there are at a time. */
export const CALLERS = [1, 16] as const;

export const connection = z.object({
  storage: z.string(),
  compute: z.string(),
  credentials: z.object({ name: z.string(), secret: z.string() }),
});

/** A row of the tables of warm programs; `cpu` is what one took of the platform's processors, in microseconds: NaN of the bare program. */
export type Row = Pick<Rate, 'perSecond' | 'p50' | 'p99'> & {
  readonly what: string;
  readonly callers: number;
  readonly cpu: number;
};

/** What the bare program does, spoken to over the same kind of socket. */
export async function bareRows(name: string, { folder, size, say }: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  await mkdir(join(folder, 'bare'));
  await using bare = await startBareRunner(join(folder, 'bare'));
  for (const callers of CALLERS) {
    say(`${name}: the bare program, ${callers} callers`);
    await bare.call();
    const calls = Array.from({ length: callers }, () => bare.call);
    const rate = await rateOf(calls, MS[size]);
    rows.push({ what: 'bare process over the same socket', callers, ...rate, cpu: Number.NaN });
  }
  return rows;
}

/** The clients of a platform that has its home there, and the id of the warm program, which is uploaded to it. */
export async function openPlatform(home: string) {
  const found = connection.parse(JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')));
  const { credentials } = found;
  const storage = storageClient({ url: found.storage, credentials });
  const compute = computeClient({ url: found.compute, credentials });
  const program = fileURLToPath(new URL('program/', import.meta.url));
  const algo = await uploadAlgo(storage, program, ['Dockerfile', 'main.mjs']);
  return { storage, compute, algo, credentials, computeUrl: found.compute };
}

/** What is told of the rows; the aims are of `measured`, a row of one caller and one of 16. */
export function reportOf(
  rows: readonly Row[],
  about: Pick<Report, 'name' | 'title' | 'notes'> & {
    readonly measured: readonly Row[];
    /** What is counted, such as `calls`. */
    readonly many: string;
    readonly aims: { readonly p50: number; readonly perSecond: number };
  },
): Report {
  const { name, title, notes, measured, many, aims: aim } = about;
  const [alone, sixteen] = measured;
  const aims: Aim[] = [
    { what: 'p50 of a caller alone, ms', measured: alone?.p50 ?? Number.NaN, most: aim.p50 },
    {
      what: `${many} a second of 16 callers`,
      measured: sixteen?.perSecond ?? Number.NaN,
      least: aim.perSecond,
    },
  ];
  return {
    ...{ name, title, aims },
    rows: rows.map(({ what, callers, perSecond, p50, p99, cpu }) => ({
      ...{ what, callers, [`${many}/s`]: perSecond, 'p50 ms': p50, 'p99 ms': p99 },
      'CPU µs each': Number.isNaN(cpu) ? '' : Math.round(cpu).toLocaleString('en'),
    })),
    notes,
    bars: rows.map(({ what, callers, p50 }) => ({
      label: `${what}, ${callers} callers`,
      value: p50,
      unit: 'ms',
      plain: what.startsWith('bare'),
    })),
  };
}
