import { join } from 'node:path';
import type { Job } from '@morpheo/common';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { DEFAULT_RUNNER_LIMITS } from '../runners/settings.ts';
import { OBEDIENT } from '../runners/testing.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { someGpus } from '../testing/gpus.ts';
import type { TestOrder } from '../testing/memory-compute.ts';
import { doublingProblem, programArchive } from '../testing/programs.ts';
import { failureOf, modelArchive, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });
const SLOTS = { learn: 1, predict: 2, job: 2 };
const RUNNER = ['morpheo.runner=1'];

/** A worker, and a program that stays and does in each call what the input `/in/program` says. */
async function openWarm(options: Parameters<typeof openTestWorker>[0] = {}, labels = RUNNER) {
  const setup = await openTestWorker({ openRuntime, slots: SLOTS, pollMs: 20, ...options });
  const algo = setup.storage.put('algo', programArchive(OBEDIENT, labels));
  const call = (program: string, members: Partial<Job> = {}) => {
    const { inputs = [], ...rest } = members;
    const own = { path: '/in/program', inline: Buffer.from(program).toString('base64') };
    return setup.job({ algo, warm: 'runner', inputs: [own, ...inputs], ...rest });
  };
  return { setup, call, [Symbol.asyncDispose]: async () => await setup[Symbol.asyncDispose]() };
}

const ANSWER = `keeps.calls = (keeps.calls ?? 0) + 1;
console.log('call ' + keeps.calls);
fs.mkdirSync(outputs + '/deep');
fs.writeFileSync(outputs + '/deep/answer', 'answer ' + keeps.calls);`;

const STAY = 'await new Promise((resolve) => setTimeout(resolve, 1e9));';

function reusedBy({ steps }: TestOrder): (number | undefined)[] {
  return steps.filter(({ step }) => step === 'job' || step === 'predict').map(({ reused }) => reused);
}

function printedBy({ log }: TestOrder): string {
  return log.map(({ text }) => text).join('');
}

const noWorkspaces = async (t: ExecutionContext, setup: { workspaces: () => Promise<string[]> }) =>
  t.deepEqual(await setup.workspaces(), []);

test('A program that stays answers the jobs of an owner, each with its own files and log; another owner has another', async (t) => {
  await using warm = await openWarm();
  const { setup, call } = warm;
  const first = call(ANSWER);
  await setup.worker.settle();
  const second = call(ANSWER);
  await setup.worker.settle();
  const other = call(ANSWER, { owner: 'eve' });
  await setup.worker.settle();
  t.like(setup.compute.registrations[0], { warm: ['runner', 'zeromq'] });
  t.deepEqual([first, second, other].map(reusedBy), [[0], [1], [0]]);
  for (const [order, text] of [
    [first, 'answer 1'],
    [second, 'answer 2'],
    [other, 'answer 1'],
  ] as const) {
    const staged = setup.storage.staged.get(`${order.id}.1`)?.bytes.toString('latin1') ?? '';
    t.regex(staged, new RegExp(`deep/answer.*${text}`, 's'));
    t.is(resultOf(order).uuid, order.spec.uplet.output ?? '');
  }
  t.regex(printedBy(second), /call 2\n/);
  t.notRegex(printedBy(second), /call 1\n/);
  t.deepEqual(new Set(setup.worker.runners.list().map(({ shown }) => shown.owner)), new Set(['lab', 'eve']));
  await noWorkspaces(t, setup);
});

test('What a program starts with is its own: with other inputs, words or limits there is another', async (t) => {
  await using warm = await openWarm();
  const { setup, call } = warm;
  const uuid = setup.storage.put('data', rawTarGz([{ name: 'weights', body: 'seven' }]));
  const model = { path: '/model', resource: { type: 'data', uuid }, unpack: true } as const;
  const text = { path: '/in/deep/text', inline: Buffer.from('of the call').toString('base64') };
  const show = `fs.writeFileSync(outputs + '/a', fs.readFileSync(process.argv[2] + '/weights', 'utf8') + ' ' + fs.readFileSync(inputs + '/deep/text', 'utf8'));`;
  const first = call(show, { command: ['/model'], inputs: [model, text] });
  await setup.worker.settle();
  t.regex(setup.storage.staged.get(`${first.id}.1`)?.bytes.toString() ?? '', /seven of the call/);
  const others = [
    call(ANSWER, { command: ['/model'], inputs: [model] }),
    call(ANSWER, { command: ['/model', 'x'], inputs: [model] }),
    call(ANSWER, { command: ['/model'], inputs: [model], env: { A: '1' } }),
    call(ANSWER, { command: ['/model'], inputs: [model], limits: { wall_seconds: 1000 } }),
  ];
  await setup.worker.settle();
  t.deepEqual(others.map(reusedBy), [[1], [0], [0], [0]]);
});

test('A call that fails fails its job, with what the program said of it, and a new program comes', async (t) => {
  await using warm = await openWarm();
  const { setup, call } = warm;
  const failed = call(
    `console.log('trying'); return { id, ok: false, message: 'no such word', type: 'KeyError', traceback: 'at line 7' };`,
  );
  await setup.worker.settle();
  const failure = failureOf(failed);
  t.like(failure, {
    reason: 'exit_code',
    step: 'job',
    message: 'The program failed: KeyError: no such word',
    exception: { message: 'no such word', type: 'KeyError', traceback: 'at line 7' },
  });
  t.deepEqual(failure.log_tail, ['trying', 'at line 7']);
  t.false(setup.storage.staged.has(`${failed.id}.1`));
  const next = call(ANSWER);
  await setup.worker.settle();
  t.deepEqual(reusedBy(next), [0]);
  await noWorkspaces(t, setup);
});

test('A job whose program would not start has in its log what that printed', async (t) => {
  await using warm = await openWarm();
  const { setup, call } = warm;
  const algo = setup.storage.put(
    'algo',
    programArchive(`console.error('no weights'); process.exit(4)`, RUNNER),
  );
  const order = call('', { algo });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', step: 'job', log_tail: ['no weights'] });
  t.regex(printedBy(order), /^no weights$/m);
});

test('A program that ends in the middle of a call, or says what it may not, fails that job as a step would', async (t) => {
  await using warm = await openWarm();
  const { setup, call } = warm;
  const cases: [Job['limits'], string, object, RegExp][] = [
    [undefined, `process.exit(3);`, { reason: 'exit_code', exit_code: 3 }, /ended with exit code 3/],
    [undefined, `process.exit(0);`, { reason: 'exit_code', exit_code: 0 }, /./],
    [
      undefined,
      `await ask('POST', '/done', { id: 'another', ok: true }); ${STAY}`,
      { reason: 'invalid_result' },
      /./,
    ],
    [{ wall_seconds: 1 }, STAY, { reason: 'timed_out', limit: '1 s' }, /1 s/],
    [
      undefined,
      `fs.symlinkSync('/etc', outputs + '/all');`,
      { reason: 'invalid_result', file: 'outputs/all' },
      /link/,
    ],
  ];
  for (const [limits, program, like, message] of cases) {
    const order = call(program, { limits });
    await setup.worker.settle();
    const failure = failureOf(order);
    t.like(failure, { ...like, step: 'job' }, JSON.stringify(failure));
    t.regex(failure.message, message);
  }
});

test('Where a program ends that had two calls, each is made again alone, so that only the guilty one fails', async (t) => {
  await using warm = await openWarm({}, [...RUNNER, 'morpheo.max_batch=2']);
  const { setup, call } = warm;
  const both = { env: { MAX: '2', PIPELINED: 'yes' } };
  const [here, there] = ['guilty', 'innocent'].map((name) => join(setup.folder, name));
  const meet = (mine?: string, other?: string) =>
    `fs.writeFileSync(${JSON.stringify(mine)}, ''); await once(${JSON.stringify(other)});`;
  const guilty = call(`${meet(here, there)} process.exit(4);`, both);
  const innocent = call(`${meet(there, here)} await ask('GET', '/next?max=1'); ${ANSWER}`, both);
  await setup.worker.settle();
  t.like(failureOf(guilty), { reason: 'exit_code', exit_code: 4 });
  t.is(reportOf(innocent).outcome, 'done');
  t.regex(printedBy(innocent), /called again, alone/);
});

test('A job that is cancelled, or given back, ends its program and leaves nothing', async (t) => {
  await using warm = await openWarm({ graceMs: 20 });
  const { setup, call } = warm;
  setup.compute.terms = { lease_ms: 3000, renew_ms: 20 };
  const stay = `console.log('here'); ${STAY}`;
  const cancelled = call(stay);
  await eventually(t, (inner) => inner.regex(printedBy(cancelled), /here/));
  cancelled.status = 'cancelled';
  await setup.worker.settle();
  t.deepEqual(cancelled.reports, []);
  await eventually(t, (inner) => inner.deepEqual(setup.worker.runners.list(), []));
  const given = call(stay);
  await eventually(t, (inner) => inner.regex(printedBy(given), /here/));
  await setup.worker.drain();
  t.is(reportOf(given).outcome, 'released');
  await noWorkspaces(t, setup);
});

test('An image that does not say that it is a runner is not waited for', async (t) => {
  await using warm = await openWarm({}, []);
  const order = warm.call(ANSWER);
  await warm.setup.worker.settle();
  t.like(failureOf(order), { reason: 'build_failed', step: 'build' });
});

/** An algorithm that doubles its input; `served` tells of which call it is. */
const SERVING = `
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
const [, , , volume, , task] = process.argv;
console.log('task ' + task);
const model = () => readFileSync(volume + '/model/model_trained.json', 'utf8');
const ask = (method, path, body) => new Promise((resolve) => {
  request({ socketPath: process.env.MORPHEO_RUNNER, method, path }, async (answer) => {
    let text = '';
    for await (const chunk of answer) text += chunk;
    resolve(text === '' ? undefined : JSON.parse(text));
  }).end(body && JSON.stringify(body));
});
const files = (folder) => readdirSync(folder, { withFileTypes: true }).filter((e) => e.isFile()).map((e) => e.name);
if (task === 'train') writeFileSync(volume + '/model/model_trained.json', '2');
if (task !== 'serve') {
  for (const folder of task === 'train' ? ['/train', '/test'] : ['/test']) {
    mkdirSync(volume + folder + '/pred', { recursive: true });
    for (const name of files(volume + folder)) {
      const [x] = readFileSync(volume + folder + '/' + name, 'utf8').split(' ');
      writeFileSync(volume + folder + '/pred/' + name, String(x * model()));
    }
  }
} else {
  const factor = model();
  for (;;) {
    for (const { id, inputs, outputs } of (await ask('GET', '/next'))?.calls ?? []) {
      for (const name of files(inputs)) writeFileSync(outputs + '/' + name, String(readFileSync(inputs + '/' + name, 'utf8') * factor));
      await ask('POST', '/done', { id, ok: true });
    }
  }
}
`;

test('An algorithm that is a runner is kept warm with its model for predictions, and for nothing else', async (t) => {
  await using setup = await openTestWorker({ openRuntime, slots: SLOTS, pollMs: 20 });
  const { storage, compute } = setup;
  const algo = storage.put('algo', programArchive(SERVING, RUNNER));
  const trained = setup.learn({
    workflow: storage.put('problem', doublingProblem()),
    algo,
    train_data: [storage.put('data', '3 6')],
    test_data: [storage.put('data', '7 14')],
  });
  await setup.worker.settle();
  t.is(resultOf(trained).performance?.perf, 1);
  t.true(trained.steps.every(({ reused }) => reused === undefined));
  const model = storage.put('model', storage.staged.get(`${trained.id}.1`)?.bytes ?? '', { algo });
  const predict = async (data: string) => {
    const order = setup.predict({ model, data: storage.put('data', data) });
    await setup.worker.settle();
    t.is(storage.staged.get(`${order.id}.1`)?.bytes.toString(), String(Number(data) * 2), printedBy(order));
    return reusedBy(order);
  };
  t.deepEqual([await predict('21'), await predict('4'), await predict('5')], [[0], [1], [2]]);
  // What other people see of it has no program in common with it, and what is hidden from its owner no program at all.
  compute.audienceOf = () => 'others';
  t.deepEqual(await predict('6'), [0]);
  compute.audienceOf = () => undefined;
  t.deepEqual(await predict('7'), [undefined]);
  await noWorkspaces(t, setup);
});

test('Where no runner may have the memory of a step, a worker offers none, and predicts without', async (t) => {
  const runners = { ...DEFAULT_RUNNER_LIMITS, memoryBytes: 1_000_000_000 };
  await using setup = await openTestWorker({ openRuntime, slots: SLOTS, pollMs: 20, runners });
  const { storage } = setup;
  const algo = storage.put('algo', programArchive(SERVING, RUNNER));
  const model = storage.put('model', modelArchive({ 'model_trained.json': '2' }), { algo });
  const order = setup.predict({ model, data: storage.put('data', '21') });
  await setup.worker.settle();
  t.is(storage.staged.get(`${order.id}.1`)?.bytes.toString(), '42', printedBy(order));
  t.deepEqual(reusedBy(order), [undefined]);
  t.like(setup.compute.registrations[0], { runtime: 'process', warm: undefined });
});

test('A prediction that asks for the only GPU is answered by the program that has it', async (t) => {
  const withGpu = async (folder: string) =>
    Object.assign(await openRuntime(folder), { gpus: async () => someGpus(1) });
  await using setup = await openTestWorker({ openRuntime: withGpu, slots: SLOTS, pollMs: 20 });
  const { storage } = setup;
  const algo = storage.put('algo', programArchive(SERVING, RUNNER));
  const model = storage.put('model', modelArchive({ 'model_trained.json': '2' }), { algo });
  for (const [data, reused] of [
    ['21', 0],
    ['4', 1],
  ] as const) {
    const order = setup.predict({ model, data: storage.put('data', data), gpus: 1 });
    await setup.worker.settle();
    t.is(storage.staged.get(`${order.id}.1`)?.bytes.toString(), String(Number(data) * 2), printedBy(order));
    t.deepEqual(reusedBy(order), [reused]);
  }
  t.like(setup.worker.runners.list(), [{ gpus: 1, calls: 2 }]);
});
