import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, timed } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { digestOf, writeSource } from './source-file.ts';

const SIZES: Readonly<Record<BenchSize, { readonly mib: number; readonly rounds: number }>> = {
  full: { mib: 1024, rounds: 3 },
  quick: { mib: 256, rounds: 2 },
  tiny: { mib: 33, rounds: 1 },
};
const MIB = 2 ** 20;
/** Of curl's speed. */
const AIM = 0.8;

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

/** `morpheo upload` and `morpheo get`, which digest and can go on after a cut, beside curl, which does neither. */
export async function cliTransfers({ folder, size, say, ...chosen }: BenchContext): Promise<Report> {
  const { rounds, mib: usual } = SIZES[size];
  const { mib = usual } = chosen;
  await using server = await startServer('storage', [join(folder, 'storage')]);
  const env = { ...process.env, HOME: folder, MORPHEO_HOME: folder, MORPHEO_STORAGE_URL: server.url };
  const morpheo = async (...args: string[]) => await run(process.execPath, [CLI, ...args], { env });
  const [source, back] = [join(folder, 'source'), join(folder, 'back')];
  const found: Record<Way, number[]> = {
    'curl up': [],
    'morpheo upload': [],
    'curl down': [],
    'morpheo get': [],
  };
  for (let turn = 0; turn < rounds; turn++) {
    say(`cli-transfers: round ${turn + 1} of ${rounds}`);
    await writeSource(source, mib);
    found['curl up'].push((await timed(() => curlUp(server.url, source, mib))).ms);
    await rm(source);
    const digest = await writeSource(source, mib);
    const up = await timed(() => morpheo('upload', 'data', source, '--quiet'));
    found['morpheo upload'].push(up.ms);
    await rm(source);
    const uuid = up.result.stdout.trim();
    const saved = async (way: Way, save: () => Promise<unknown>) => {
      found[way].push((await timed(save)).ms);
      if ((await digestOf(back)) !== digest) throw new Error(`${way} brought other bytes than were sent`);
      await rm(back);
    };
    await saved('curl down', async () => await curlDown(server.url, uuid, back));
    await saved('morpheo get', async () => await morpheo('get', 'data', uuid, '-o', back));
  }
  return reportOf(found, mib);
}

type Way = 'curl up' | 'morpheo upload' | 'curl down' | 'morpheo get';

async function curlUp(url: string, file: string, mib: number): Promise<void> {
  const fields = ['-F', `uuid=${randomUUID()}`, '-F', `size=${mib * MIB}`, '-F', `blob=@${file}`];
  await run('curl', ['--fail', '--silent', '--show-error', ...fields, `${url}/data`]);
}

async function curlDown(url: string, uuid: string, to: string): Promise<void> {
  await run('curl', ['--fail', '--silent', '--show-error', '-o', to, `${url}/data/${uuid}/blob`]);
  // As durable as the other is.
  await using file = await open(to);
  await file.sync();
}

function reportOf(found: Readonly<Record<Way, readonly number[]>>, mib: number): Report {
  const speed = (way: Way) => mib / (median(found[way]) / 1000);
  const line = (way: Way, plain: Way) => ({
    what: way,
    'MiB/s': speed(way),
    ratio: speed(way) / speed(plain),
  });
  const rows = [
    line('curl up', 'curl up'),
    line('morpheo upload', 'curl up'),
    line('curl down', 'curl down'),
    line('morpheo get', 'curl down'),
  ];
  return {
    name: 'cli-transfers',
    title: `${mib} MiB by the command line tool, beside curl`,
    rows,
    aims: rows
      .filter(({ what }) => what.startsWith('morpheo'))
      .map(({ what, ratio }) => ({ what: `${what}, share of curl's speed`, measured: ratio, least: AIM })),
    notes: [
      'morpheo digests the file before it sends it, and what it receives as it comes; both can go on after a cut.',
      'curl digests nothing and begins again. What it saves is synced too. The time that each program takes to start counts.',
    ],
    bars: rows.map(({ what, 'MiB/s': value }) => ({
      label: what,
      value,
      unit: 'MiB/s',
      plain: what.startsWith('curl'),
    })),
  };
}
