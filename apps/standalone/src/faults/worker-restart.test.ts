import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext, type TestFn } from 'ava';
import { openFaultProxy } from '../testing/fault-proxy.ts';
import { MODEL_BYTES } from '../testing/paused-programs.ts';
import { nothingLeft, starts, untilEnded, waitingContainer } from '../testing/worker-checks.ts';
import {
  openWorkerFixture,
  sharedDaemon,
  type WorkerFixture,
  type WorkerProcess,
} from '../testing/worker-fixture.ts';

const test = withParts(ava as TestFn, 'docker');
const daemon = sharedDaemon();
/** Long enough for a worker to be started again on a busy machine. */
const LEASE_MS = 90_000;

test.after.always('the daemon goes', async () => await daemon[Symbol.asyncDispose]());

async function untilResumed(t: ExecutionContext, worker: WorkerProcess, times = 1): Promise<void> {
  const resumed = () => worker.printed.match(/A container is taken up/g)?.length ?? 0;
  await eventually(t, (t) => t.is(resumed(), times));
}

/** One attempt, one start of each program, and nothing left. */
async function wentOnOnce(t: ExecutionContext, fixture: WorkerFixture, order: string, worker: WorkerProcess) {
  const { status, attempts, failure } = await fixture.order(order);
  t.is(status, 'done', `${JSON.stringify(failure)}\n${worker.printed}`);
  t.deepEqual(
    attempts.map(({ attempt, outcome }) => [attempt, outcome]),
    [[1, 'done']],
  );
  for (const step of ['detarget', 'train', 'perf'] as const)
    t.is(await starts(fixture, order, step), 1, await fixture.log(order));
  await nothingLeft(t, fixture, worker);
}

for (const data of ['shared', 'archive']) {
  test.serial(`A worker that starts again goes on with its container: ${data} data`, async (t) => {
    t.timeout(600_000, 'the first daemon of a machine makes the images');
    await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
    const worker = fixture.worker({ 'docker-data': data });
    worker.start();
    const order = await fixture.learn();
    const container = await waitingContainer(t, fixture, order);
    await worker.kill();
    worker.start();
    await untilResumed(t, worker);
    t.deepEqual(await fixture.containers(order, 'train'), [container]);
    const before = (await fixture.log(order)).length;
    await eventually(t, async (t) => t.regex((await fixture.log(order)).slice(before), /tick/));
    await fixture.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, fixture, order);
    await wentOnOnce(t, fixture, order, worker);
    t.regex(await fixture.log(order), /\[morpheo\] The worker was started again here/);
    const { items } = await fixture.compute.listWorkers({});
    t.is(items.length, 1);
  });
}

test.serial('A worker that is killed twice still goes on with its container', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  const container = await waitingContainer(t, fixture, order);
  for (const time of [1, 2]) {
    await worker.kill();
    worker.start();
    await untilResumed(t, worker, time);
  }
  await fixture.docker('kill', '-s', 'USR2', container.id);
  await untilEnded(t, fixture, order);
  await wentOnOnce(t, fixture, order, worker);
});

test.serial('A container that ended while its worker was dead is not run again', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  const container = await waitingContainer(t, fixture, order);
  await worker.kill();
  await fixture.docker('kill', '-s', 'USR2', container.id);
  await fixture.docker('wait', container.id);
  worker.start();
  await untilEnded(t, fixture, order);
  await wentOnOnce(t, fixture, order, worker);
  t.regex(await fixture.log(order), /train ended/, 'what was printed meanwhile is there');
});

test.serial('A program that failed while its worker was dead fails its order, with its log', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  const container = await waitingContainer(t, fixture, order);
  await worker.kill();
  await fixture.docker('kill', '-s', 'USR1', container.id);
  await fixture.docker('wait', container.id);
  worker.start();
  await untilEnded(t, fixture, order);
  const { status, failure, attempt } = await fixture.order(order);
  t.like({ status, attempt }, { status: 'failed', attempt: 1 });
  t.like(failure, { reason: 'exit_code', exit_code: 3, step: 'train' });
  t.true(failure?.log_tail?.includes('told to fail'), JSON.stringify(failure));
  await nothingLeft(t, fixture, worker);
});

test.serial('A daemon that ended the container leaves it to be run again', async (t) => {
  const dind = await daemon.dind();
  await using fixture = await openWorkerFixture(dind, LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  const container = await waitingContainer(t, fixture, order);
  await worker.kill();
  await dind.restart();
  worker.start();
  await eventually(t, async (t) => t.is(await starts(fixture, order, 'train'), 2));
  const [another] = await fixture.containers(order, 'train');
  t.not(another?.id, container.id);
  await fixture.docker('kill', '-s', 'USR2', another?.id ?? '');
  await untilEnded(t, fixture, order);
  t.like(await fixture.order(order), { status: 'done', attempt: 1 });
  await nothingLeft(t, fixture, worker);
});

test.serial('A damaged record leaves the order to another attempt', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker();
  worker.start();
  const order = await fixture.learn();
  const container = await waitingContainer(t, fixture, order);
  await worker.kill();
  const [workspace = ''] = await readdir(join(worker.folder, 'work'));
  await writeFile(join(worker.folder, 'work', workspace, 'record.json'), '{"order":"../../etc"}');
  worker.start();
  await eventually(t, async (t) => t.is((await fixture.order(order)).attempt, 2));
  await eventually(t, async (t) => {
    const [next] = await fixture.containers(order, 'train');
    t.true(next !== undefined && next.id !== container.id);
  });
  await eventually(t, async (t) => t.is(await starts(fixture, order, 'train'), 2));
  const [next] = await fixture.containers(order, 'train');
  await fixture.docker('kill', '-s', 'USR2', next?.id ?? '');
  await untilEnded(t, fixture, order);
  t.is((await fixture.order(order)).status, 'done');
  await nothingLeft(t, fixture, worker);
});

test.serial('The process runtime does not go on; the order is tried again', async (t) => {
  await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
  const worker = fixture.worker({ runtime: 'process' });
  worker.start();
  const order = await fixture.learn();
  await eventually(t, async (t) => t.regex(await fixture.log(order), /tick 2/));
  await worker.kill();
  worker.start();
  await eventually(t, async (t) => t.is((await fixture.order(order)).attempt, 2));
  t.is((await fixture.order(order)).attempts[0]?.outcome, 'lost');
  await fixture.compute.cancelOrder({ params: { id: order } });
  await eventually(t, async (t) => t.deepEqual(await fixture.workspaces(worker), []));
});

for (const step of ['detarget', 'perf'] as const) {
  test.serial(`What had ended before the worker died is not run again: killed in ${step}`, async (t) => {
    await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
    const worker = fixture.worker();
    worker.start();
    const order = await fixture.learn(step);
    const container = await waitingContainer(t, fixture, order, step);
    await worker.kill();
    worker.start();
    await untilResumed(t, worker);
    await fixture.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, fixture, order);
    await wentOnOnce(t, fixture, order, worker);
  });
}

test.serial(
  'A worker that is killed while it brings its model stages it again, and runs nothing again',
  async (t) => {
    await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
    await using proxy = await openFaultProxy(fixture.storageUrl);
    const worker = fixture.worker({ storage: proxy.url });
    worker.start();
    const order = await fixture.learn();
    const container = await waitingContainer(t, fixture, order);
    const killed = Promise.withResolvers<void>();
    proxy.cut = (sent) => {
      // Half of the model is with storage, and the rest never comes.
      if (sent < MODEL_BYTES / 2) return false;
      proxy.cut = () => false;
      worker.kill().then(() => killed.resolve(), killed.reject);
      return true;
    };
    await fixture.docker('kill', '-s', 'USR2', container.id);
    await killed.promise;
    t.is((await fixture.order(order)).status, 'pending');
    worker.start();
    await untilEnded(t, fixture, order);
    await wentOnOnce(t, fixture, order, worker);
    const { result } = await fixture.order(order);
    t.true((result?.size ?? 0) > MODEL_BYTES, JSON.stringify(result));
  },
);
