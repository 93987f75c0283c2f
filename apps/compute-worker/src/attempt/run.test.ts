import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { DummyScript } from '../index.ts';
import { contextArchive, failureOf, openTestWorker, reportOf } from '../testing/test-worker.ts';

const PERFORMANCE = '/hidden_data/perf/performance.json';

const failures: Record<string, [DummyScript, Record<string, unknown>]> = {
  'A step that exits with a code': [
    { train: { stderr: 'no such column\n', exit: 3 } },
    { reason: 'exit_code', step: 'train', exit_code: 3, log_tail: ['no such column'] },
  ],
  'A detarget that fails': [{ detarget: { exit: 1 } }, { reason: 'exit_code', step: 'detarget' }],
  'A perf that fails although it wrote its file': [
    { perf: { exit: 1 } },
    { reason: 'exit_code', step: 'perf' },
  ],
  'A step that takes too long': [{ train: { ended: 'timed_out' } }, { reason: 'timed_out', limit: '20 min' }],
  'A step that takes too much memory': [
    { train: { ended: 'out_of_memory' } },
    { reason: 'out_of_memory', limit: '4.3 GB', peak: '1.0 MB' },
  ],
  'A step that prints too much': [
    { train: { ended: 'output_limit' } },
    { reason: 'output_limit', limit: '67.1 MB' },
  ],
  'A step that writes too much': [
    { train: { ended: 'disk_full' } },
    { reason: 'disk_full', limit: '10.7 GB and 100000 files' },
  ],
  'A training that writes nothing': [{ train: { idle: true } }, { reason: 'missing_result', step: 'train' }],
  'A training that writes no model': [
    { train: { remove: ['/data/model/model_trained.json'] } },
    { reason: 'missing_result', step: 'train', file: '/data/model/model_trained.json' },
  ],
  'A detarget that writes nothing': [
    { detarget: { idle: true } },
    { reason: 'missing_result', step: 'detarget' },
  ],
  'A perf that writes nothing': [{ perf: { idle: true } }, { reason: 'missing_result', file: PERFORMANCE }],
  'A performance that is no JSON': [
    { perf: { write: { [PERFORMANCE]: '{"perf": NaN}' } } },
    { reason: 'invalid_result', file: PERFORMANCE, step: 'perf' },
  ],
  'A performance without scores': [
    { perf: { write: { [PERFORMANCE]: '{"perf": "good"}' } } },
    { reason: 'invalid_result', file: PERFORMANCE },
  ],
  'A performance that is a link': [
    { perf: { idle: true, link: { [PERFORMANCE]: '/etc/passwd' } } },
    { reason: 'invalid_result', file: PERFORMANCE },
  ],
  'A model with a link': [
    { train: { link: { '/data/model/secrets': '/etc/passwd' } } },
    { reason: 'invalid_result', file: '/data/model/secrets' },
  ],
  'An image that cannot be built': [
    { build: { throw: 'build_failed' } },
    { reason: 'build_failed', step: 'build' },
  ],
};

for (const [fault, [script, expected]] of Object.entries(failures)) {
  test(`${fault} fails the order as ${expected.reason}`, async (t) => {
    await using setup = await openTestWorker({ script });
    const order = setup.learn();
    await setup.worker.settle();
    t.like(failureOf(order), expected);
    t.is(setup.storage.staged.size, 0);
    t.deepEqual(await setup.workspaces(), []);
    t.true(order.log.some(({ text }) => text.includes(failureOf(order).message)));
  });
}

test('A missing model is told before perf has run', async (t) => {
  await using setup = await openTestWorker({
    script: { train: { remove: ['/data/model/model_trained.json'] } },
  });
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order), {
    reason: 'missing_result',
    step: 'train',
    file: '/data/model/model_trained.json',
  });
  t.false(order.started.includes('perf'));
});

test('A death by SIGBUS says what it most likely was', async (t) => {
  await using setup = await openTestWorker({ script: { train: { exit: 135 } } });
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 135 });
  t.regex(failureOf(order).message, /ended by SIGBUS .*Most likely \/dev\/shm was full/);
});

test('A missing prediction is named by its path in the container', async (t) => {
  const data = randomUUID();
  await using setup = await openTestWorker({ script: { train: { remove: [`/data/train/pred/${data}`] } } });
  setup.storage.put('data', 'one', { uuid: data });
  const order = setup.learn({ train_data: [data] });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'missing_result', file: `/data/train/pred/${data}`, step: 'train' });
});

test('A performance that lacks members says which', async (t) => {
  await using setup = await openTestWorker({
    script: { perf: { write: { [PERFORMANCE]: '{"perf": 1, "train_perf": {}}' } } },
  });
  const order = setup.learn();
  await setup.worker.settle();
  t.regex(failureOf(order).message, /test_perf/);
});

test('A build context that is no archive fails to build', async (t) => {
  await using setup = await openTestWorker();
  const algo = setup.storage.put('algo', 'this is text');
  const order = setup.learn({ algo });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'build_failed', step: 'build' });
  t.true(failureOf(order).message.includes(`algo ${algo}`));
});

test('A failed build shows the end of its log', async (t) => {
  await using setup = await openTestWorker();
  const algo = setup.storage.put('algo', contextArchive({ build: { throw: 'build_failed' } }));
  const order = setup.learn({ algo });
  await setup.worker.settle();
  t.is(failureOf(order).step, 'build');
});

test('A build that takes too long fails the order', async (t) => {
  const wallMs = { learn: 50, predict: 50, job: 50 };
  await using setup = await openTestWorker({ script: { build: { sleep_ms: 600_000 } }, limits: { wallMs } });
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'timed_out', step: 'build', limit: '50 ms' });
});

test('An input that is not there is named', async (t) => {
  await using setup = await openTestWorker();
  const missing = randomUUID();
  const order = setup.learn({ test_data: [missing] });
  await setup.worker.settle();
  t.is(failureOf(order).reason, 'input_not_found');
  t.true(failureOf(order).message.includes(`data ${missing}`));
  t.is(failureOf(order).step, 'inputs');
});

test('A storage that is away is the platform’s error and not the order’s', async (t) => {
  await using setup = await openTestWorker();
  setup.storage.fault = () => new PlatformError('unavailable', 'Storage is away.');
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order, 'error'), { reason: 'internal', message: 'Storage is away.', step: 'inputs' });
});

test('A result that cannot be stored is the platform’s error', async (t) => {
  await using setup = await openTestWorker();
  setup.storage.fault = (call) =>
    call === 'stageResult' ? new PlatformError('disk_full', 'Storage has no room.') : undefined;
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order, 'error'), { reason: 'disk_full', step: 'results' });
});

test('A result that is larger than storage takes is the order’s failure', async (t) => {
  await using setup = await openTestWorker();
  setup.storage.fault = (call) =>
    call === 'stageResult' ? new PlatformError('too_large', 'At most 1 B.') : undefined;
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'disk_full', step: 'results' });
});

test('A result of more files than storage takes is the order’s failure', async (t) => {
  await using setup = await openTestWorker();
  setup.storage.fault = (call) =>
    call === 'stageResult' ? new PlatformError('invalid_upload', 'It has more than 3 files.') : undefined;
  const order = setup.learn();
  await setup.worker.settle();
  const message = 'It has more than 3 files.';
  t.like(failureOf(order), { reason: 'disk_full', message, step: 'results' });
});

test('A result is uploaded again after a fault of storage', async (t) => {
  await using setup = await openTestWorker();
  let faults = 2;
  setup.storage.fault = (call) => {
    if (call !== 'stageResult' || faults === 0) return undefined;
    faults -= 1;
    return new PlatformError('unavailable', 'Storage is away.');
  };
  const order = setup.learn();
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
});

test('A container runtime that is away is the platform’s error', async (t) => {
  await using setup = await openTestWorker({ script: { train: { throw: 'unavailable' } } });
  const order = setup.learn();
  await setup.worker.settle();
  t.like(failureOf(order, 'error'), { reason: 'internal', step: 'train' });
});

test('An error of the platform shows nothing of the worker’s inside', async (t) => {
  await using setup = await openTestWorker();
  setup.storage.fault = () => new RangeError('/home/worker/secret.ts is broken');
  const order = setup.learn();
  await setup.worker.settle();
  t.is(failureOf(order, 'error').message, 'The worker failed in the step inputs; its log says why.');
  t.true(JSON.stringify(setup.log.entries).includes('secret.ts'));
});

test('A report is repeated until compute-api answers', async (t) => {
  await using setup = await openTestWorker();
  let faults = 3;
  setup.compute.fault = (call) => {
    if (call !== 'reportAttempt' || faults === 0) return undefined;
    faults -= 1;
    return new PlatformError('unavailable', 'compute-api is away.');
  };
  const order = setup.learn();
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
  t.is(setup.compute.count('reportAttempt'), 4);
});

test('A report whose answer was lost is sent once more and counts once', async (t) => {
  await using setup = await openTestWorker();
  setup.compute.loseAnswerOf.add('reportAttempt');
  const order = setup.learn();
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
  t.is(setup.compute.count('reportAttempt'), 2);
});

test('A report that compute-api refuses becomes the platform’s error', async (t) => {
  await using setup = await openTestWorker();
  let refused = 0;
  // With what happened last, and without.
  setup.compute.fault = (call) => {
    if (call !== 'reportAttempt' || refused === 2) return undefined;
    refused += 1;
    return new PlatformError('invalid_request', 'body.result: is odd');
  };
  const order = setup.learn();
  await setup.worker.settle();
  t.is(failureOf(order, 'error').reason, 'internal');
});

test('The workspace of an attempt is removed behind its report', async (t) => {
  await using setup = await openTestWorker();
  const found: string[][] = [];
  setup.compute.fault = (call) => {
    if (call === 'reportAttempt') found.push(readdirSync(join(setup.folder, 'work')));
    return undefined;
  };
  const order = setup.learn();
  await setup.worker.settle();
  t.like(reportOf(order), { outcome: 'done' });
  t.deepEqual(found, [[`${order.id}.1`]]);
  t.deepEqual(await setup.workspaces(), []);
});

test('The folders of train and perf are filled before detarget has run', async (t) => {
  await using setup = await openTestWorker({
    before: async ({ labels: { step, order } }) => {
      if (step !== 'detarget') return;
      const filled = (...path: string[]) => readdirSync(join(setup.folder, 'work', `${order}.1`, ...path));
      await eventually(t, async (inner) => {
        inner.is(filled('train', 'train').length, 2);
        inner.is(filled('perf', 'test').length, 1);
      });
    },
  });
  const order = setup.learn();
  await setup.worker.settle();
  t.like(reportOf(order), { outcome: 'done' });
});

test('A report that compute-api refuses for what happened last is sent without that', async (t) => {
  await using setup = await openTestWorker();
  let refused = false;
  setup.compute.fault = (call) => {
    if (call !== 'reportAttempt' || refused) return undefined;
    refused = true;
    return new PlatformError('invalid_request', 'body.events: are odd');
  };
  const order = setup.learn();
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
});
