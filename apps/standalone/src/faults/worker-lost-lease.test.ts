import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type TestFn } from 'ava';
import { nothingLeft, starts, untilEnded, waitingContainer } from '../testing/worker-checks.ts';
import { openWorkerFixture, sharedDaemon } from '../testing/worker-fixture.ts';

const test = withParts(ava as TestFn, 'docker');
const daemon = sharedDaemon();
const LEASE_MS = 15_000;

test.after.always('the daemon goes', async () => await daemon[Symbol.asyncDispose]());

test.serial('A worker that was frozen stops its container by itself when it wakes', async (t) => {
  t.timeout(600_000, 'the first daemon of a machine makes the images');
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const [frozen, other] = [fixture.worker(), fixture.worker()];
  frozen.start();
  const order = await fixture.learn();
  const old = await waitingContainer(t, fixture, order);
  const { worker: frozenId } = (await fixture.order(order)).attempts[0] ?? {};
  frozen.signal('SIGSTOP');
  other.start();
  const second = await waitingContainer(t, fixture, order, 'train', 2);
  t.not(second.id, old.id);
  t.is((await fixture.containers(order, 'train')).length, 2, 'nobody stops it while it sleeps');
  const before = await fixture.order(order);

  const wokenAt = performance.now();
  frozen.signal('SIGCONT');
  await eventually(t, async (t) => t.deepEqual(await fixture.containers(order, 'train'), [second]));
  t.log(`its container was gone after ${Math.round(performance.now() - wokenAt)} ms`);
  t.deepEqual(await fixture.order(order), before, 'what it says changes nothing');

  const next = await fixture.learn();
  await eventually(t, async (t) => t.is((await fixture.order(next)).attempts[0]?.worker, frozenId));
  const nexts = await waitingContainer(t, fixture, next);
  for (const { id } of [second, nexts]) await fixture.docker('kill', '-s', 'USR2', id);
  for (const one of [order, next]) await untilEnded(t, fixture, one);
  const { status, attempts } = await fixture.order(order);
  t.is(status, 'done');
  t.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['lost', 'done'],
  );
  t.like(await fixture.order(next), { status: 'done', attempt: 1 });
  await nothingLeft(t, fixture, frozen, other);
});

test.serial('A worker that starts again too late removes its container, and is not heard', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const [dead, other] = [fixture.worker(), fixture.worker()];
  dead.start();
  const order = await fixture.learn();
  const old = await waitingContainer(t, fixture, order);
  await dead.kill();
  other.start();
  const second = await waitingContainer(t, fixture, order, 'train', 2);
  await fixture.docker('kill', '-s', 'USR2', old.id);
  await fixture.docker('wait', old.id);
  dead.start();
  await eventually(t, async (t) => t.deepEqual(await fixture.containers(order, 'train'), [second]));
  await eventually(t, async (t) => t.deepEqual(await fixture.workspaces(dead), []));
  const late = { params: { id: order, attempt: 1 }, body: { outcome: 'released' as const } };
  await t.throwsAsync(fixture.compute.reportAttempt(late), { code: 'stale_attempt' });
  await fixture.docker('kill', '-s', 'USR2', second.id);
  await untilEnded(t, fixture, order);
  t.like(await fixture.order(order), { status: 'done', attempt: 2 });
  t.is(await starts(fixture, order, 'train'), 2);
  await nothingLeft(t, fixture, dead, other);
});

test.serial('A container is not left to itself when compute-api is away for too long', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  await waitingContainer(t, fixture, order);
  await worker.kill();
  await fixture.stopCompute();
  worker.start();
  await nothingLeft(t, fixture, worker);
  t.regex(worker.printed, /the attempts of an earlier process are discarded/);
});
