import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDind } from '@morpheo/real-parts';
import type { Platform } from '@morpheo/standalone';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, percentile } from '../bench.ts';
import { uploadData, uploadProgram } from '../overhead/programs.ts';
import { type Subject, timeOrder, timePrediction } from '../overhead/time-order.ts';
import { timeBareRun } from './bare-run.ts';
import { openEngine } from './engine.ts';
import { openOnParts } from './open-on-parts.ts';
import { CONTAINER_STEPS, type ContainerStep, seeContainers } from './seen-containers.ts';

/** How often each kind of order is run on each platform, in turns with the bare containers. */
const ROUNDS: Readonly<Record<BenchSize, number>> = { full: 15, quick: 6, tiny: 1 };
/** Of the bare containers' time, where a container waits for each step that runs, and where none does. */
const AIMS = { learn: { with: 0.4, without: 0.8 }, predict: { with: 0.5, without: 1.2 } };
/** As the settings of a worker are by themselves. */
const SPARES = { most: 2, perImage: 1, memoryBytes: 64 * 1024 ** 2, idleMs: 600_000 };

/** A platform, what is ordered of it, and how. */
interface Ordered {
  readonly learn: () => Promise<number>;
  readonly predict: () => Promise<number>;
}

/** One round, in milliseconds: the bare containers, and the order on both platforms. */
interface Round {
  readonly bare: number;
  readonly with: number;
  readonly without: number;
}

/** Orders in Docker with containers that wait for them and without, beside the same containers through Docker's API alone. */
export async function spareContainers({ folder, size, say }: BenchContext): Promise<Report> {
  await using dind = await startDind();
  using engine = openEngine(dind.socketPath);
  say('spare-containers: two platforms, images, and how the worker sets its containers up');
  await using cold = await openOnParts(join(folder, 'cold'), dind);
  await using warm = await openOnParts(join(folder, 'warm'), dind, SPARES);
  let without: Ordered | undefined;
  const seen = await seeContainers(engine, CONTAINER_STEPS, async () => {
    without = await ordered(cold);
  });
  const platforms = { without: without ?? (await ordered(cold)), with: await ordered(warm) };
  const bareFolder = join(dind.jobs, 'bare');
  await mkdir(bareFolder);
  const bare = async (...steps: ContainerStep[]) => {
    let sum = 0;
    for (const step of steps) sum += await timeBareRun(engine, seen[step], bareFolder);
    return sum;
  };
  const kinds: Readonly<Record<'learn' | 'predict', readonly ContainerStep[]>> = {
    learn: ['detarget', 'train', 'perf'],
    predict: ['predict'],
  };
  const rounds: Record<'learn' | 'predict', Round[]> = { learn: [], predict: [] };
  for (const kind of ['learn', 'predict'] as const) {
    // The first ones make the worker keep containers for the next.
    for (let turn = -2; turn < ROUNDS[size]; turn++) {
      say(`spare-containers: ${kind}, round ${turn + 1} of ${ROUNDS[size]}`);
      const round = {
        bare: await bare(...kinds[kind]),
        with: await platforms.with[kind](),
        without: await platforms.without[kind](),
      };
      if (turn >= 0) rounds[kind].push(round);
    }
  }
  return reportOf(rounds);
}

/** Puts programs and data on a platform, and lets one order of each kind run. */
async function ordered(platform: Platform): Promise<Ordered> {
  const subject: Subject = {
    problem: await uploadProgram(platform.storage, 'problem'),
    algo: await uploadProgram(platform.storage, 'algo'),
    train: await uploadData(platform.storage),
    test: await uploadData(platform.storage),
  };
  const { model } = await timeOrder(platform, subject);
  const prediction = { problem: subject.problem, model, data: subject.test };
  await timePrediction(platform, prediction);
  return {
    learn: async () => (await timeOrder(platform, subject)).whole,
    predict: async () => (await timePrediction(platform, prediction)).whole,
  };
}

function reportOf(rounds: Readonly<Record<'learn' | 'predict', readonly Round[]>>): Report {
  const kinds = [
    ['learn', 'detarget, train and perf, bare'],
    ['predict', 'predict, bare'],
  ] as const;
  const line = (what: string, all: readonly Round[], which: keyof Round) => ({
    what,
    'p50 ms': median(all.map((round) => round[which])),
    'p90 ms': percentile(
      all.map((round) => round[which]),
      0.9,
    ),
    ratio: median(all.map((round) => round[which])) / median(all.map((round) => round.bare)),
  });
  const rows = kinds.flatMap(([kind, bare]) => [
    line(bare, rounds[kind], 'bare'),
    line(`${kind} order, none waits`, rounds[kind], 'without'),
    line(`${kind} order, containers wait`, rounds[kind], 'with'),
  ]);
  const ratioOf = (what: string) => rows.find((row) => row.what === what)?.ratio ?? 0;
  return {
    name: 'spare-containers',
    title: 'orders in Docker-in-Docker, with containers that wait for them and without',
    rows,
    aims: kinds.flatMap(([kind]) => [
      {
        what: `${kind} order, none waits`,
        measured: ratioOf(`${kind} order, none waits`),
        most: AIMS[kind].without,
      },
      {
        what: `${kind} order, containers wait`,
        measured: ratioOf(`${kind} order, containers wait`),
        most: AIMS[kind].with,
      },
    ]),
    notes: [
      'Two platforms on PostgreSQL, NSQ and S3 in one daemon; the worker of one starts containers ahead, two at most and one of an image. A learn order has its detarget from the cache.',
      'Bare containers and the orders of both platforms took turns; each kind of order had its own series, so that what waits is of that kind.',
    ],
    bars: rows.map(({ what, 'p50 ms': value }) => ({
      label: what,
      value,
      unit: 'ms',
      plain: what.endsWith('bare'),
    })),
  };
}
