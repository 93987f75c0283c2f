import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDind } from '@morpheo/real-parts';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, percentile } from '../bench.ts';
import { uploadData, uploadProgram } from '../overhead/programs.ts';
import { type OrderTimes, timeOrder, timePrediction } from '../overhead/time-order.ts';
import { timeBareRun } from './bare-run.ts';
import { openEngine } from './engine.ts';
import { openOnParts } from './open-on-parts.ts';
import { CONTAINER_STEPS, type ContainerStep, type SeenContainer, seeContainers } from './seen-containers.ts';

/** How often each kind of order is run, in turns with the bare containers. */
const ROUNDS: Readonly<Record<BenchSize, number>> = { full: 15, quick: 5, tiny: 1 };
/** Of the bare containers' time: a training has its detarget from the cache, so that two containers run of three. */
const AIMS = { learn: 1, predict: 1.1 };

type OneOrder = Pick<OrderTimes, 'whole' | 'steps'>;

/** What the orders are about, and containers as theirs were. */
interface Setting {
  readonly learn: () => Promise<OneOrder>;
  readonly predict: () => Promise<OneOrder>;
  readonly bare: (step: ContainerStep) => Promise<number>;
}

/** One round; the bare containers in milliseconds. */
interface Round {
  readonly bare: Readonly<Record<ContainerStep, number>>;
  readonly learn: OneOrder;
  readonly predict: OneOrder;
}

/** Orders in Docker, from their POST until they are done, beside the same containers run through Docker's API alone. */
export async function containerOverhead({ folder, size, say }: BenchContext): Promise<Report> {
  await using dind = await startDind();
  using engine = openEngine(dind.socketPath);
  await using platform = await openOnParts(join(folder, 'platform'), dind);
  say('container-overhead: images, and how the worker sets its containers up');
  const subject = {
    problem: await uploadProgram(platform.storage, 'problem'),
    algo: await uploadProgram(platform.storage, 'algo'),
    train: await uploadData(platform.storage),
    test: await uploadData(platform.storage),
  };
  const prediction = { problem: subject.problem, model: '', data: subject.test };
  const seen = await seeContainers(engine, CONTAINER_STEPS, async () => {
    prediction.model = (await timeOrder(platform, subject)).model;
    await timePrediction(platform, prediction);
  });
  const bareFolder = join(dind.jobs, 'bare');
  await mkdir(bareFolder);
  const setting: Setting = {
    learn: async () => await timeOrder(platform, subject),
    predict: async () => await timePrediction(platform, prediction),
    bare: async (step) => await timeBareRun(engine, seen[step], bareFolder),
  };
  await timeAll(setting);
  const rounds: Round[] = [];
  for (let turn = 0; turn < ROUNDS[size]; turn++) {
    say(`container-overhead: round ${turn + 1} of ${ROUNDS[size]}`);
    rounds.push(await timeAll(setting));
  }
  return reportOf(rounds, seen);
}

/** In turns, so that orders and bare containers meet the same disturbances. */
async function timeAll({ learn, predict, bare }: Setting): Promise<Round> {
  const [detarget, train, perf] = [await bare('detarget'), await bare('train'), await bare('perf')];
  const learned = await learn();
  return {
    bare: { detarget, train, perf, predict: await bare('predict') },
    learn: learned,
    predict: await predict(),
  };
}

function reportOf(rounds: readonly Round[], seen: Readonly<Record<ContainerStep, SeenContainer>>): Report {
  const line = (what: string, of: (round: Round) => number, beside: (round: Round) => number) => ({
    what,
    'p50 ms': median(rounds.map(of)),
    'p90 ms': percentile(rounds.map(of), 0.9),
    ratio: median(rounds.map(of)) / median(rounds.map(beside)),
  });
  const three = ({ bare }: Round) => bare.detarget + bare.train + bare.perf;
  const one = ({ bare }: Round) => bare.predict;
  const step = ({ steps }: OneOrder, ...names: ContainerStep[]) =>
    names.reduce((sum, name) => sum + (steps[name] ?? 0), 0);
  const learn = line('learn order', (round) => round.learn.whole, three);
  const predict = line('predict order', (round) => round.predict.whole, one);
  const rows = [
    line('detarget, train and perf, bare', three, three),
    line('train and perf, bare', ({ bare }) => bare.train + bare.perf, three),
    learn,
    line('of which train and perf', (round) => step(round.learn, 'train', 'perf'), three),
    line('predict, bare', one, one),
    predict,
    line('of which predict', (round) => step(round.predict, 'predict'), one),
  ];
  const mounts = CONTAINER_STEPS.reduce((sum, step) => sum + seen[step].HostConfig.Mounts.length, 0);
  return {
    name: 'container-overhead',
    title: 'orders in Docker-in-Docker, beside the same containers through the API of Docker alone',
    rows,
    aims: [
      { what: 'learn order, of its three containers', measured: learn.ratio, most: AIMS.learn },
      { what: 'predict order, of its container', measured: predict.ratio, most: AIMS.predict },
    ],
    notes: [
      'The platform is on PostgreSQL, NSQ and S3. A learn order has its detarget from the cache, so two containers run.',
      `Bare: created with the settings of the worker's own containers, as the daemon tells them (with ${mounts} mounts), started, waited for, removed; their output is not read, and their folders are there before.`,
      'Orders and bare containers took turns in the same daemon; every order was done at its first attempt.',
    ],
    bars: rows.map(({ what, 'p50 ms': value }) => ({
      label: what,
      value,
      unit: 'ms',
      plain: what.endsWith('bare'),
    })),
  };
}
