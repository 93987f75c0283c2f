import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type TestFn } from 'ava';
import { openWorkerSite, sharedDaemon } from './testing/worker-site.ts';
import {
  nothingLeft,
  PATIENCE_MS,
  starts,
  untilEnded,
  waitingContainer,
} from './testing/worker-site-checks.ts';

const test = withParts(ava as TestFn, 'docker');
const daemon = sharedDaemon();
const LEASE_MS = 9000;

test.after.always('the daemon goes', async () => await daemon[Symbol.asyncDispose]());

test.serial('A worker that was frozen stops its container by itself when it wakes', async (t) => {
  t.timeout(600_000, 'the first daemon of a machine makes the images');
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const [frozen, other] = [site.worker(), site.worker()];
  frozen.start();
  const order = await site.learn();
  const old = await waitingContainer(t, site, order);
  const { worker: frozenId } = (await site.order(order)).attempts[0] ?? {};
  frozen.signal('SIGSTOP');
  other.start();
  const second = await waitingContainer(t, site, order, 'train', 2);
  t.not(second.id, old.id);
  t.is((await site.containers(order, 'train')).length, 2, 'nobody stops it while it sleeps');
  const before = await site.order(order);

  const wokenAt = performance.now();
  frozen.signal('SIGCONT');
  await eventually(t, async (t) => t.deepEqual(await site.containers(order, 'train'), [second]), 30_000);
  t.log(`its container was gone after ${Math.round(performance.now() - wokenAt)} ms`);
  t.deepEqual(await site.order(order), before, 'what it says changes nothing');

  const next = await site.learn();
  await eventually(t, async (t) => t.is((await site.order(next)).attempts[0]?.worker, frozenId), PATIENCE_MS);
  const nexts = await waitingContainer(t, site, next);
  for (const { id } of [second, nexts]) await site.docker('kill', '-s', 'USR2', id);
  for (const one of [order, next]) await untilEnded(t, site, one);
  const { status, attempts } = await site.order(order);
  t.is(status, 'done');
  t.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['lost', 'done'],
  );
  t.like(await site.order(next), { status: 'done', attempt: 1 });
  await nothingLeft(t, site, frozen, other);
});

test.serial('A worker that starts again too late removes its container, and is not heard', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const [dead, other] = [site.worker(), site.worker()];
  dead.start();
  const order = await site.learn();
  const old = await waitingContainer(t, site, order);
  await dead.kill();
  other.start();
  const second = await waitingContainer(t, site, order, 'train', 2);
  await site.docker('kill', '-s', 'USR2', old.id);
  await site.docker('wait', old.id);
  dead.start();
  await eventually(t, async (t) => t.deepEqual(await site.containers(order, 'train'), [second]), PATIENCE_MS);
  await eventually(t, async (t) => t.deepEqual(await site.workspaces(dead), []), PATIENCE_MS);
  const late = { params: { id: order, attempt: 1 }, body: { outcome: 'released' as const } };
  await t.throwsAsync(site.compute.reportAttempt(late), { code: 'stale_attempt' });
  await site.docker('kill', '-s', 'USR2', second.id);
  await untilEnded(t, site, order);
  t.like(await site.order(order), { status: 'done', attempt: 2 });
  t.is(await starts(site, order, 'train'), 2);
  await nothingLeft(t, site, dead, other);
});

test.serial('A container is not left to itself when compute-api is away for too long', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  await waitingContainer(t, site, order);
  await worker.kill();
  await site.stopCompute();
  worker.start();
  await nothingLeft(t, site, worker);
  t.regex(worker.printed, /what an earlier process left is given up/);
});
