import { randomUUID } from 'node:crypto';
import { computeClient, storageClient } from '@morpheo/client';
import { type Preduplet, preduplet } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { uploadForPredictions } from '../scenarios/uploads.ts';
import { startSupervisedWorker } from '../testing/service-program.ts';
import { openServicesWithRoles } from '../testing/services-with-roles.ts';

const POISON = randomUUID();
/** Orders beside the poison, and how long each takes. */
const PLAN = { orders: 60, workMs: 400, workers: 2, slots: 3, attempts: 3 } as const;

test('An order that kills every worker fails by itself, and no other does or waits for it', async (t) => {
  t.timeout(300_000);
  await using services = await openServicesWithRoles({
    attempts: PLAN.attempts,
    everyMs: 200,
    retryBackOff: { firstMs: 1000, mostMs: 4000, jitter: 0.25 },
  });
  const [storage = '', compute = ''] = services.services.map(({ url }) => url);
  const credentials = services.credentialsOf('worker');
  const settings = {
    storage,
    compute,
    credentials,
    poison: POISON,
    slots: PLAN.slots,
    workMs: PLAN.workMs,
    pollMs: 300,
  };
  await using stack = new AsyncDisposableStack();
  const workers = Array.from({ length: PLAN.workers }, () => stack.use(startSupervisedWorker(settings)));
  const admin = services.credentialsOf('admin');
  const api = computeClient({ url: compute, credentials: admin });
  const named = await uploadForPredictions(storageClient({ url: storage, credentials: admin }));
  const order = (problem: string = randomUUID()): Preduplet =>
    preduplet.parse({ ...named, uuid: randomUUID(), problem, workflow: randomUUID(), status: 'todo' });
  const poison = order(POISON);
  await api.pred({ body: poison });
  const others = Array.from({ length: PLAN.orders }, () => order());
  for (const body of others) await api.pred({ body });

  const view = async (id: string) => await api.getOrder({ params: { id } });
  await eventually(t, async (t) => t.is((await view(poison.uuid)).status, 'failed'), 240_000);
  await eventually(t, async (t) =>
    t.deepEqual((await api.getQueue({})).counts, { done: PLAN.orders, failed: 1 }),
  );

  const { failure, attempts, ended_at = '' } = await view(poison.uuid);
  t.is(failure?.reason, 'worker_lost');
  // By chance it may have been the only one each time, before it was lost twice beside others and had to be.
  const message = failure?.message ?? '';
  const company = /beside other orders \(2\)/.test(message) ? ' and nothing else' : '';
  t.regex(message, new RegExp(`while it ran the order${company}: .* That was attempt 3 of 3\\.$`));
  t.regex(
    (await api.whyOrder({ params: { id: poison.uuid } })).sentence,
    /^It is failed: Worker .* was lost/,
  );
  t.is(
    workers.reduce((sum, { deaths }) => sum + deaths, 0),
    attempts.length,
    'each attempt killed one worker',
  );
  const innocent = await Promise.all(others.map(async ({ uuid }) => await view(uuid)));
  const lost = innocent.filter(({ attempt }) => attempt > 1);
  const before = innocent.filter((one) => (one.ended_at ?? '') < ended_at);
  t.log(
    `${attempts.length} workers killed; of ${PLAN.orders} other orders ${lost.length} were lost with one, ` +
      `${before.length} were done before the poison had failed`,
  );
  for (const { attempts: all } of innocent) {
    t.true(all.filter(({ outcome }) => outcome === 'lost').length <= 2, 'lost beside it twice at most');
  }
  t.true(before.length > PLAN.orders / 2, 'the others did not wait for its end');
  const metrics = await (
    await fetch(`${compute}/metrics`, { headers: { authorization: services.authorizationOf('admin') } })
  ).text();
  const failures = metrics
    .split('\n')
    .filter((line) => line.startsWith('morpheo_compute_order_failures_total{'));
  t.deepEqual(failures, ['morpheo_compute_order_failures_total{kind="predict",reason="worker_lost"} 1']);
});
