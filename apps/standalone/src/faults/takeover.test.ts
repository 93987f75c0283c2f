import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { preduplet } from '@morpheo/common';
import { openPinningStorage } from '@morpheo/compute-api/testing';
import { freePort, mainOf, ServiceProcess, startNsqd, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { startSupervisedWorker } from '../testing/service-program.ts';

const test = withParts(ava, 'nsq');
/** The lease of 30 s, a look of the reaper, a message through NSQ. */
const BOUND_MS = 35_000;

test('The order of a worker that dies is run by another within 35 seconds', async (t) => {
  t.timeout(180_000);
  await using nsqd = await startNsqd();
  await using storage = await openPinningStorage();
  await using service = await startComputeApi(nsqd.tcp, storage.url);
  const api = computeClient({ url: service.url });
  const settings = {
    ...{ compute: service.url, storage: storage.url, credentials: { name: 'worker', secret: 'none' } },
    ...{ poison: '', slots: 1, workMs: 600_000, pollMs: 5000, nsqd: nsqd.tcp },
  };
  await using first = startSupervisedWorker(settings);
  const body = preduplet.parse({
    ...{ uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID() },
    ...{ model: randomUUID(), data: randomUUID(), status: 'todo' },
  });
  await api.pred({ body });
  const order = async () => await api.getOrder({ params: { id: body.uuid } });
  await eventually(t, async (t) => t.is((await order()).attempt, 1));
  await using second = startSupervisedWorker(settings);
  await eventually(t, async (t) => t.is((await api.listWorkers({})).items.length, 2));
  // The worst moment to die: the lease was just renewed.
  const seen = async () => (await api.listWorkers({})).items.find(({ id }) => id === first.id)?.last_seen_at;
  const before = await seen();
  await eventually(t, async (t) => t.not(await seen(), before));

  await first.kill();
  const diedAt = performance.now();
  await eventually(t, async (t) => t.is((await order()).attempt, 2), 2 * BOUND_MS);
  const tookMs = performance.now() - diedAt;
  t.log(`the next attempt began ${(tookMs / 1000).toFixed(1)} s after the worker had died`);
  t.true(tookMs <= BOUND_MS, `${tookMs} ms`);
  const { attempts, status } = await order();
  t.is(status, 'pending');
  t.like(attempts[0], { worker: first.id, outcome: 'lost' });
  t.like(attempts[1], { worker: second.id });
});

/** compute-api as a process of its own, with the leases of production. */
async function startComputeApi(nsqd: string, storage: string) {
  await using stack = new AsyncDisposableStack();
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-takeover-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const url = `http://127.0.0.1:${port}`;
  const service = stack.use(
    new ServiceProcess({
      main: mainOf('compute-api'),
      flags: {
        ...{ port, storage, broker: 'nsq', nsqd, 'data-dir': folder, 'insecure-open': '' },
        ...{ 'storage-user': 'u', 'storage-password': 'p', 'log-level': 'error' },
      },
      ready: `${url}/health`,
    }),
  );
  await service.start();
  const opened = stack.move();
  return { url, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}
