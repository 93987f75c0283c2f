import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDind } from '@morpheo/real-parts';
import { createLog } from '@morpheo/service/log';
import { type Platform, startPlatform } from '@morpheo/standalone';
import { type BenchContext, type BenchSize, median, percentile, type Report } from '../bench.ts';
import { timeBareRun } from '../containers/bare-run.ts';
import { openEngine } from '../containers/engine.ts';
import { openOnParts } from '../containers/open-on-parts.ts';
import { seeContainers } from '../containers/seen-containers.ts';
import { timePlainJob, uploadData, uploadProgram } from '../overhead/programs.ts';
import { type OrderTimes, timeJob } from '../overhead/time-order.ts';

/** How often each job is run, in turns with what it is compared with, and how large the large one is in MB. */
const SIZES: Readonly<Record<BenchSize, { readonly rounds: number; readonly largeMb: number }>> = {
  full: { rounds: 5, largeMb: 100 },
  quick: { rounds: 3, largeMb: 100 },
  tiny: { rounds: 1, largeMb: 1 },
};
const TINY_BYTES = 37;

/** The platform on one runtime, and the plain tool beside it. */
interface Way {
  readonly name: string;
  readonly plain: string;
  readonly platform: Pick<Platform, 'compute' | 'storage'>;
  readonly algo: string;
  readonly timePlain: (input: string) => Promise<number>;
}

interface Round {
  readonly plain: number;
  readonly job: Pick<OrderTimes, 'whole' | 'steps'>;
}

/** What is measured of one way with inputs of one size. */
interface Case {
  readonly way: Way;
  readonly what: string;
  readonly rounds: readonly Round[];
}

/**
 * Jobs that copy their input, a tiny one and a large one, from their POST until their output can be fetched: in Docker
 * beside the same container through Docker's API alone, and as processes beside the same process.
 */
export async function jobOverhead({ folder, size, say }: BenchContext): Promise<Report> {
  const { rounds, largeMb } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const ways = [await inDocker(stack, folder), await asProcess(stack, folder)];
  const inputs = [
    ['tiny', TINY_BYTES],
    [`${largeMb} MB`, largeMb * 1e6],
  ] as const;
  const cases: Case[] = [];
  for (const way of ways) {
    for (const [what, bytes] of inputs) {
      say(`job-overhead: ${what} ${way.name}`);
      const input = join(folder, 'input');
      const found: Round[] = [];
      for (let turn = 0; turn < rounds; turn++) found.push(await timeBoth(way, input, bytes));
      cases.push({ way, what, rounds: found });
    }
  }
  return reportOf(cases);
}

async function inDocker(stack: AsyncDisposableStack, folder: string): Promise<Way> {
  const dind = stack.use(await startDind());
  const engine = stack.use(openEngine(dind.socketPath));
  const platform = stack.use(await openOnParts(join(folder, 'on-parts'), dind));
  const algo = await uploadProgram(platform.storage, 'job');
  const { job } = await seeContainers(engine, ['job'], async () => {
    await timeJob(platform, { algo, data: await uploadData(platform.storage) });
  });
  const bare = join(dind.jobs, 'bare');
  await mkdir(bare);
  const timePlain = async (input: string) => await timeBareRun(engine, job, bare, input);
  return { name: 'in Docker', plain: 'bare container', platform, algo, timePlain };
}

async function asProcess(stack: AsyncDisposableStack, folder: string): Promise<Way> {
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  const platform = stack.use(await startPlatform({ folder: join(folder, 'embedded'), log }));
  const algo = await uploadProgram(platform.storage, 'job');
  await timeJob(platform, { algo, data: await uploadData(platform.storage) });
  const timePlain = async (input: string) => await timePlainJob(join(folder, 'plain'), input);
  return { name: 'as a process', plain: 'bare process', platform, algo, timePlain };
}

/** On an input that is like no other, which the worker has to fetch. */
async function timeBoth({ platform, algo, timePlain }: Way, input: string, bytes: number): Promise<Round> {
  const content = randomBytes(bytes);
  await writeFile(input, content);
  const plain = await timePlain(input);
  const data = await uploadData(platform.storage, content);
  return { plain, job: await timeJob(platform, { algo, data }) };
}

function reportOf(cases: readonly Case[]): Report {
  const rows = cases.flatMap(({ way, what, rounds }) => {
    const plain = median(rounds.map((round) => round.plain));
    const line = (label: string, of: (round: Round) => number) => ({
      what: label,
      'p50 ms': median(rounds.map(of)),
      'p90 ms': percentile(rounds.map(of), 0.9),
      ratio: median(rounds.map(of)) / plain,
    });
    const step = (name: 'inputs' | 'job' | 'results') => (round: Round) => round.job.steps[name] ?? 0;
    return [
      line(`${what}, ${way.plain}`, (round) => round.plain),
      line(`${what}, job ${way.name}`, ({ job }) => job.whole),
      line('of which inputs', step('inputs')),
      line('of which the run', step('job')),
      line('of which outputs', step('results')),
    ];
  });
  return {
    name: 'job-overhead',
    title: 'jobs that copy their input, beside the same container or process alone',
    rows,
    aims: [],
    notes: [
      'In Docker: on PostgreSQL, NSQ and S3. As a process: on the embedded parts.',
      'Every input is new, so that the worker fetches it; every output is packed, staged and published. Bare: the input lies there, and the output stays where it is.',
      'Jobs took turns with what they are compared with; every job was done at its first attempt.',
    ],
    bars: rows
      .filter(({ what }) => !what.startsWith('of which'))
      .map(({ what, 'p50 ms': value }) => ({ label: what, value, unit: 'ms', plain: what.includes('bare') })),
  };
}
