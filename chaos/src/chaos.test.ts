import { sampleSize, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { runChaos } from './chaos.ts';
import { lineOf, tableOf } from './report.ts';

const SEED = Number(process.env.SEED ?? 1);
const PLAN = {
  orders: sampleSize('ORDERS', { small: 40, full: 150 }),
  fewestFaults: 8,
  fewestStaleCalls: 1,
  paceMs: 250,
  faultEveryMs: 1500,
  mostFaults: 60,
  mostMinutes: 8,
} as const;

withParts(test, 'nsq', 'postgres', 'minio', 'docker').serial(
  'Among faults of every part no order is lost, and none ends twice',
  async (t) => {
    t.timeout(900_000);
    const result = await runChaos({ ...PLAN, seed: SEED, dockerWorkers: 1, processWorkers: 2 });
    t.log(tableOf(result));
    t.log(lineOf(result));
    t.deepEqual(result.broken, []);
    t.true(result.jobs.compared > 0);
    t.true(result.staleCalls >= PLAN.fewestStaleCalls);
    t.deepEqual(result.failures, [], 'no order fails, since nothing but the platform did');
    const faults = Object.values(result.faults).reduce((sum, times) => sum + times, 0);
    t.true(faults >= PLAN.fewestFaults, `${faults} faults`);
  },
);
