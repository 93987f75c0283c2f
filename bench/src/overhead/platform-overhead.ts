import { join } from 'node:path';
import { STEPS } from '@morpheo/common';
import { openDummyRuntime } from '@morpheo/compute-worker';
import { createLog } from '@morpheo/service/log';
import { type Platform, startPlatform } from '@morpheo/standalone';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, percentile } from '../bench.ts';
import { timePlainPrograms, uploadData, uploadProgram } from './programs.ts';
import { type OrderTimes, type Subject, timeOrder } from './time-order.ts';

interface Size {
  /** Orders that are run before it counts: they fill the caches. */
  readonly before: number;
  readonly dummy: number;
  readonly process: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { before: 10, dummy: 60, process: 20 },
  quick: { before: 4, dummy: 15, process: 6 },
  tiny: { before: 1, dummy: 1, process: 1 },
};

const AIM_MS = 150;
/** Kinds of orders: their heading in the table. */
const CASES = ['nothing new', 'new test data', 'real processes'] as const;

type Case = (typeof CASES)[number];

/** What the platform itself adds to a learn order, from the POST until the model is there, and where that time goes. */
export async function platformOverhead({ folder, size, say }: BenchContext): Promise<Report> {
  const counts = SIZES[size];
  const found = new Map<Case, OrderTimes[]>();
  {
    say('platform-overhead: containers that do nothing');
    await using platform = await open(join(folder, 'dummy'), 'dummy');
    const subject = await uploadSubject(platform);
    await repeat(counts.before, () => timeOrder(platform, subject));
    found.set('nothing new', await repeat(counts.dummy, () => timeOrder(platform, subject)));
    found.set('new test data', await repeat(counts.dummy, () => timeOnNewData(platform, subject)));
  }
  say('platform-overhead: containers that are processes');
  const plain: number[] = [];
  await using platform = await open(join(folder, 'process'), 'process');
  const subject = await uploadSubject(platform);
  await repeat(counts.before, () => timeOnNewData(platform, subject));
  const processes = await repeat(counts.process, async () => {
    plain.push(await timePlainPrograms(join(folder, 'plain')));
    return await timeOnNewData(platform, subject);
  });
  found.set('real processes', processes);
  return reportOf(found, plain);
}

async function open(folder: string, runtime: 'dummy' | 'process'): Promise<Platform> {
  const openRuntime = runtime === 'dummy' ? { openRuntime: async () => openDummyRuntime() } : {};
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  return await startPlatform({ folder, ...openRuntime, log });
}

async function uploadSubject({ storage }: Platform): Promise<Subject> {
  return {
    problem: await uploadProgram(storage, 'problem'),
    algo: await uploadProgram(storage, 'algo'),
    train: await uploadData(storage),
    test: await uploadData(storage),
  };
}

/** On test data that the platform has never seen, which is downloaded and has its targets hidden: three containers run. */
async function timeOnNewData(platform: Platform, subject: Subject): Promise<OrderTimes> {
  return await timeOrder(platform, { ...subject, test: await uploadData(platform.storage) });
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let time = 0; time < times; time++) results.push(await work());
  return results;
}

function reportOf(found: ReadonlyMap<Case, readonly OrderTimes[]>, plain: readonly number[]): Report {
  const row = (
    part: string,
    of: (times: readonly OrderTimes[], name: Case) => number,
  ): Record<string, string | number> => ({
    'p50 ms': part,
    ...Object.fromEntries(CASES.map((name) => [name, of(found.get(name) ?? [], name)])),
  });
  const middle = (part: string, of: (times: OrderTimes) => number) =>
    row(part, (times) => median(times.map(of)));
  const programs = (name: Case) => (name === 'real processes' ? median(plain) : 0);
  const own = row(
    "the platform's own",
    (times, name) => median(times.map(({ whole }) => whole)) - programs(name),
  );
  return {
    name: 'platform-overhead',
    title: 'a learn order of detarget, train and perf that do nothing, from its POST until it is done',
    rows: [
      middle('wait for a worker', ({ claim }) => claim),
      ...STEPS.filter((step) => step !== 'predict' && step !== 'job').map((step) =>
        middle(step, ({ steps }) => steps[step] ?? 0),
      ),
      middle('publish the model', ({ publish }) => publish),
      middle('all else', restOf),
      middle('whole', ({ whole }) => whole),
      row('whole, p90', (times) =>
        percentile(
          times.map(({ whole }) => whole),
          0.9,
        ),
      ),
      row('the programs alone', (_times, name) => programs(name)),
      own,
    ],
    aims: CASES.filter((name) => name !== 'real processes').map((name) => ({
      what: `milliseconds of the platform's own, ${name}`,
      measured: Number(own[name]),
      most: AIM_MS,
    })),
    notes: [
      'Nothing new: every input is in the cache and detarget was done before, so two containers run; else three.',
      'The programs alone: the same three as plain processes, one after another, in the same run.',
      'Every order was done at its first attempt, and the model on storage has the digest that was reported.',
    ],
    bars: CASES.map((name) => ({
      label: `own time, ${name}`,
      value: Number(own[name]),
      unit: 'ms',
      plain: false,
    })),
  };
}

/** Of the whole, what is none of the parts: requests, commits, and what happens between two steps. */
function restOf({ whole, claim, publish, steps }: OrderTimes): number {
  return whole - claim - publish - Object.values(steps).reduce((sum, ms) => sum + ms, 0);
}
