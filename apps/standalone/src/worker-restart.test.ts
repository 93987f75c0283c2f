import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext, type TestFn } from 'ava';
import { openCuttingProxy } from './testing/cutting-proxy.ts';
import { MODEL_BYTES } from './testing/patient-programs.ts';
import type { WorkerProcess } from './testing/worker-process.ts';
import { openWorkerSite, sharedDaemon, type WorkerSite } from './testing/worker-site.ts';
import {
  nothingLeft,
  PATIENCE_MS,
  starts,
  untilEnded,
  waitingContainer,
} from './testing/worker-site-checks.ts';

const test = withParts(ava as TestFn, 'docker');
const daemon = sharedDaemon();
/** Long enough for a worker to be started again on a busy machine. */
const LEASE_MS = 90_000;

test.after.always('the daemon goes', async () => await daemon[Symbol.asyncDispose]());

async function untilResumed(t: ExecutionContext, worker: WorkerProcess, times = 1): Promise<void> {
  const found = () => worker.printed.match(/A container is gone on with/g)?.length ?? 0;
  await eventually(t, (t) => t.is(found(), times), PATIENCE_MS);
}

/** One attempt, one start of each program, and nothing left. */
async function wentOnOnce(t: ExecutionContext, site: WorkerSite, order: string, worker: WorkerProcess) {
  const { status, attempts, failure } = await site.order(order);
  t.is(status, 'done', `${JSON.stringify(failure)}\n${worker.printed}`);
  t.deepEqual(
    attempts.map(({ attempt, outcome }) => [attempt, outcome]),
    [[1, 'done']],
  );
  for (const step of ['detarget', 'train', 'perf'] as const)
    t.is(await starts(site, order, step), 1, await site.log(order));
  await nothingLeft(t, site, worker);
}

for (const data of ['shared', 'archive']) {
  test.serial(`A worker that starts again goes on with its container: ${data} data`, async (t) => {
    t.timeout(600_000, 'the first daemon of a machine makes the images');
    await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
    const worker = site.worker({ 'docker-data': data });
    worker.start();
    const order = await site.learn();
    const container = await waitingContainer(t, site, order);
    await worker.kill();
    worker.start();
    await untilResumed(t, worker);
    t.deepEqual(await site.containers(order, 'train'), [container]);
    const heard = (await site.log(order)).length;
    await eventually(t, async (t) => t.regex((await site.log(order)).slice(heard), /tick/), PATIENCE_MS);
    await site.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, site, order);
    await wentOnOnce(t, site, order, worker);
    t.regex(await site.log(order), /\[morpheo\] The worker was started again here/);
    const { items } = await site.compute.listWorkers({});
    t.is(items.length, 1);
  });
}

test.serial('A worker that is killed twice still goes on with its container', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  const container = await waitingContainer(t, site, order);
  for (const time of [1, 2]) {
    await worker.kill();
    worker.start();
    await untilResumed(t, worker, time);
  }
  await site.docker('kill', '-s', 'USR2', container.id);
  await untilEnded(t, site, order);
  await wentOnOnce(t, site, order, worker);
});

test.serial('A container that ended while its worker was dead is not run again', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  const container = await waitingContainer(t, site, order);
  await worker.kill();
  await site.docker('kill', '-s', 'USR2', container.id);
  await site.docker('wait', container.id);
  worker.start();
  await untilEnded(t, site, order);
  await wentOnOnce(t, site, order, worker);
  t.regex(await site.log(order), /train ended/, 'what was printed meanwhile is there');
});

test.serial('A program that failed while its worker was dead fails its order, with its log', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  const container = await waitingContainer(t, site, order);
  await worker.kill();
  await site.docker('kill', '-s', 'USR1', container.id);
  await site.docker('wait', container.id);
  worker.start();
  await untilEnded(t, site, order);
  const { status, failure, attempt } = await site.order(order);
  t.like({ status, attempt }, { status: 'failed', attempt: 1 });
  t.like(failure, { reason: 'exit_code', exit_code: 3, step: 'train' });
  t.true(failure?.log_tail?.includes('told to fail'), JSON.stringify(failure));
  await nothingLeft(t, site, worker);
});

test.serial('A daemon that ended the container leaves it to be run again', async (t) => {
  const dind = await daemon.dind();
  await using site = await openWorkerSite(dind, LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  const container = await waitingContainer(t, site, order);
  await worker.kill();
  await dind.restart();
  worker.start();
  await eventually(t, async (t) => t.is(await starts(site, order, 'train'), 2), PATIENCE_MS);
  const [another] = await site.containers(order, 'train');
  t.not(another?.id, container.id);
  await site.docker('kill', '-s', 'USR2', another?.id ?? '');
  await untilEnded(t, site, order);
  t.like(await site.order(order), { status: 'done', attempt: 1 });
  await nothingLeft(t, site, worker);
});

test.serial('A damaged record leaves the order to another attempt', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker();
  worker.start();
  const order = await site.learn();
  const container = await waitingContainer(t, site, order);
  await worker.kill();
  const [workspace = ''] = await readdir(join(worker.folder, 'work'));
  await writeFile(join(worker.folder, 'work', workspace, 'record.json'), '{"order":"../../etc"}');
  worker.start();
  await eventually(t, async (t) => t.is((await site.order(order)).attempt, 2), PATIENCE_MS);
  await eventually(
    t,
    async (t) => {
      const [next] = await site.containers(order, 'train');
      t.true(next !== undefined && next.id !== container.id);
    },
    PATIENCE_MS,
  );
  await eventually(t, async (t) => t.is(await starts(site, order, 'train'), 2), PATIENCE_MS);
  const [next] = await site.containers(order, 'train');
  await site.docker('kill', '-s', 'USR2', next?.id ?? '');
  await untilEnded(t, site, order);
  t.is((await site.order(order)).status, 'done');
  await nothingLeft(t, site, worker);
});

test.serial('The process runtime does not go on; the order is tried again', async (t) => {
  await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
  const worker = site.worker({ runtime: 'process' });
  worker.start();
  const order = await site.learn();
  await eventually(t, async (t) => t.regex(await site.log(order), /tick 2/), PATIENCE_MS);
  await worker.kill();
  worker.start();
  await eventually(t, async (t) => t.is((await site.order(order)).attempt, 2), PATIENCE_MS);
  t.is((await site.order(order)).attempts[0]?.outcome, 'lost');
  await site.compute.cancelOrder({ params: { id: order } });
  await eventually(t, async (t) => t.deepEqual(await site.workspaces(worker), []), PATIENCE_MS);
});

for (const step of ['detarget', 'perf'] as const) {
  test.serial(`What had ended before the worker died is not run again: killed in ${step}`, async (t) => {
    await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
    const worker = site.worker();
    worker.start();
    const order = await site.learn(step);
    const container = await waitingContainer(t, site, order, step);
    await worker.kill();
    worker.start();
    await untilResumed(t, worker);
    await site.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, site, order);
    await wentOnOnce(t, site, order, worker);
  });
}

test.serial(
  'A worker that is killed while it brings its model stages it again, and runs nothing again',
  async (t) => {
    await using site = await openWorkerSite(await daemon.dind(), LEASE_MS);
    await using way = await openCuttingProxy(site.storageUrl);
    const worker = site.worker({ storage: way.url });
    worker.start();
    const order = await site.learn();
    const container = await waitingContainer(t, site, order);
    const killed = Promise.withResolvers<void>();
    way.cut = (sent) => {
      // Half of the model is with storage, and the rest never comes.
      if (sent < MODEL_BYTES / 2) return false;
      way.cut = () => false;
      worker.kill().then(killed.resolve, killed.reject);
      return true;
    };
    await site.docker('kill', '-s', 'USR2', container.id);
    await killed.promise;
    t.is((await site.order(order)).status, 'pending');
    worker.start();
    await untilEnded(t, site, order);
    await wentOnOnce(t, site, order, worker);
    const { result } = await site.order(order);
    t.true((result?.size ?? 0) > MODEL_BYTES, JSON.stringify(result));
  },
);
