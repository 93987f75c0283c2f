import { startDind, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type TestFn } from 'ava';
import { openWorkerSite } from './testing/worker-site.ts';
import { nothingLeft, PATIENCE_MS, untilEnded, waitingContainer } from './testing/worker-site-checks.ts';

const test = withParts(ava as TestFn, 'docker');
const LEASE_MS = 90_000;

test('A worker that starts again leases the GPU of its container before it gives one to anybody', async (t) => {
  t.timeout(600_000, 'the first daemon of a machine makes the images');
  await using dind = await startDind({ gpus: 'fake', gpuCount: 1 });
  await using site = await openWorkerSite(dind, LEASE_MS);
  const flags = { gpus: 'auto', 'gpu-probe-image': 'busybox:1.36', 'learn-parallelism': '2' };
  const worker = site.worker(flags);
  worker.start();
  const first = await site.learn('train', 1);
  const container = await waitingContainer(t, site, first);
  const second = await site.learn('train', 1);
  const why = async () => (await site.compute.whyOrder({ params: { id: second } })).code;
  await eventually(t, async (t) => t.is(await why(), 'gpus_busy'), PATIENCE_MS);

  await worker.kill();
  worker.start();
  await eventually(t, async (t) => t.regex(worker.printed, /A container is gone on with/), PATIENCE_MS);
  const leased = async () => (await site.compute.listWorkers({})).items[0]?.gpus.leased;
  t.is(await leased(), 1);
  t.is(await why(), 'gpus_busy');
  t.deepEqual(await site.containers(first, 'train'), [container]);

  await site.docker('kill', '-s', 'USR2', container.id);
  await untilEnded(t, site, first);
  t.like(await site.order(first), { status: 'done', attempt: 1 });
  const next = await waitingContainer(t, site, second);
  t.is(await leased(), 1);
  await site.docker('kill', '-s', 'USR2', next.id);
  await untilEnded(t, site, second);
  t.like(await site.order(second), { status: 'done', attempt: 1 });
  await eventually(t, async (t) => t.is(await leased(), 0), PATIENCE_MS);
  await nothingLeft(t, site, worker);
});
