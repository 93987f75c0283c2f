import { startDind, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type TestFn } from 'ava';
import { nothingLeft, untilEnded, waitingContainer } from '../testing/worker-checks.ts';
import { openWorkerFixture } from '../testing/worker-fixture.ts';

const test = withParts(ava as TestFn, 'docker');
const LEASE_MS = 90_000;

test('A worker that starts again leases the GPU of its container before it gives one to anybody', async (t) => {
  t.timeout(600_000, 'the first daemon of a machine makes the images');
  await using dind = await startDind({ gpus: 'fake', gpuCount: 1 });
  await using fixture = await openWorkerFixture(dind, LEASE_MS);
  const flags = { gpus: 'auto', 'gpu-probe-image': 'busybox:1.36', 'learn-parallelism': '2' };
  const worker = fixture.worker(flags);
  worker.start();
  const first = await fixture.learn('train', 1);
  const container = await waitingContainer(t, fixture, first);
  const second = await fixture.learn('train', 1);
  const why = async () => (await fixture.compute.whyOrder({ params: { id: second } })).code;
  await eventually(t, async (t) => t.is(await why(), 'gpus_busy'));

  await worker.kill();
  worker.start();
  await eventually(t, async (t) => t.regex(worker.printed, /A container is taken up/));
  const leased = async () => (await fixture.compute.listWorkers({})).items[0]?.gpus.leased;
  t.is(await leased(), 1);
  t.is(await why(), 'gpus_busy');
  t.deepEqual(await fixture.containers(first, 'train'), [container]);

  await fixture.docker('kill', '-s', 'USR2', container.id);
  await untilEnded(t, fixture, first);
  t.like(await fixture.order(first), { status: 'done', attempt: 1 });
  const next = await waitingContainer(t, fixture, second);
  t.is(await leased(), 1);
  await fixture.docker('kill', '-s', 'USR2', next.id);
  await untilEnded(t, fixture, second);
  t.like(await fixture.order(second), { status: 'done', attempt: 1 });
  await eventually(t, async (t) => t.is(await leased(), 0));
  await nothingLeft(t, fixture, worker);
});
