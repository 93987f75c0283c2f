import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CallDone, type GivenCall, MOST_IN_CALL, PlatformError } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { DEFAULT_LIMITS } from '../../config/limits.ts';
import { NO_IMAGES } from '../../images/policy.ts';
import { openCache } from '../../inputs/cache/index.ts';
import { Inputs } from '../../inputs/fetch.ts';
import { createWorkerMeters } from '../../metrics.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from '../../runners/errors.ts';
import type { CallResult, RunnerCall, RunnerPlan, Runners, RunnerView } from '../../runners/index.ts';
import { openDummyRuntime } from '../../runtime/dummy/index.ts';
import { MemoryStorage } from '../../testing/memory-storage.ts';
import { CallPlans } from './call-plans.ts';
import { runCall } from './run-call.ts';

const CALL = `${'0'.repeat(12)}-${'0'.repeat(20)}`;

/** Calls in runners whose program is a function of the folders of its inputs and its outputs. */
async function setUp() {
  await using opening = new AsyncDisposableStack();
  const { path } = opening.use(await temporaryFolder());
  const cache = opening.use(
    await openCache({ folder: join(path, 'cache'), limitBytes: 1e9, log: silentLog }),
  );
  const runtime = opening.use(openDummyRuntime());
  const storage = new MemoryStorage();
  const plans = new CallPlans({
    openStorage: (ticket) => storage.seenBy(ticket),
    ...{ cache, runtime, inputs: new Inputs(cache), images: NO_IMAGES, limits: DEFAULT_LIMITS },
    meters: createWorkerMeters(undefined),
  });
  const planned: RunnerPlan[] = [];
  const state = {
    program: async (_inputs: string, _outputs: string): Promise<void> => undefined,
    views: [] as RunnerView[],
  };
  const call = async <T>({ plan, fill, take, onOutput }: RunnerCall<T>): Promise<CallResult<T>> => {
    planned.push(plan);
    const folder = join(path, `call-${planned.length}`);
    const [inputs, outputs] = [join(folder, 'inputs'), join(folder, 'outputs')];
    for (const one of [inputs, outputs]) await mkdir(one, { recursive: true });
    await fill(inputs);
    await onOutput?.({ stream: 'stdout', bytes: Buffer.from('begun\n') });
    await state.program(inputs, outputs);
    const value = await take(outputs);
    return { value, reused: 2, runner: 'one', ms: { waited: 0, started: 0, ran: 1 } };
  };
  const runners: Pick<Runners, 'call' | 'list'> = { call, list: () => state.views };
  const opened = opening.move();
  const { signal } = new AbortController();
  return {
    ...{ storage, planned, state, path },
    run: async (given: GivenCall, over = signal) =>
      await runCall(given, { runners, plans, log: silentLog }, over),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

function given(spec: Partial<GivenCall['spec']>, members: Partial<GivenCall> = {}): GivenCall {
  return {
    ...{ call: CALL, key: 'a'.repeat(64), gpus: 0, wait_ms: 60_000, owner: 'ann' },
    spec: { warm: 'runner', ...spec },
    ...members,
  };
}

test('A call finds its inputs as files of its own, and its answer has the files that it left', async (t) => {
  await using setup = await setUp();
  const algo = setup.storage.put('algo', 'context');
  const data = setup.storage.put('data', 'from storage');
  setup.state.program = async (inputs, outputs) => {
    const texts = await Promise.all(['a', 'deep/b'].map((name) => readFile(join(inputs, name), 'utf8')));
    await writeFile(join(inputs, 'a'), 'written over');
    await mkdir(join(outputs, 'deep'));
    await writeFile(join(outputs, 'deep/texts'), texts.join('+'));
    await writeFile(join(outputs, 'empty'), '');
  };
  const inputs = [
    { path: '/in/a', resource: { type: 'data' as const, uuid: data } },
    { path: '/in/deep/b', inline: Buffer.from('inline').toString('base64') },
    { path: '/model.json', inline: 'e30=' },
  ];
  for (const turn of [1, 2]) {
    const done = await setup.run(given({ algo, inputs }, { ticket: 'hers' }));
    t.deepEqual(
      done,
      {
        ...{ call: CALL, outcome: 'done', reused: 2, ms: { waited: 0, started: 0, ran: 1 }, log: 'begun\n' },
        outputs: [
          { name: 'deep/texts', data: Buffer.from('from storage+inline').toString('base64') },
          { name: 'empty', data: '' },
        ],
      },
      `call ${turn}`,
    );
  }
  t.is(setup.storage.downloadsOf(data), 1);
  t.true(setup.storage.shown.every((ticket) => ticket === 'hers'));
  const [first, second] = setup.planned;
  t.is(first?.key, second?.key);
  t.deepEqual(first?.shown, { owner: 'ann', image: `algo ${algo}`, callKey: 'a'.repeat(64) });
});

test('Calls of other owners, programs, variables, files and limits are for other runners, those that differ below /in alone are not', async (t) => {
  await using setup = await setUp();
  const algo = setup.storage.put('algo', 'context');
  const key = async (spec: Partial<GivenCall['spec']>, members: Partial<GivenCall> = {}) => {
    await setup.run(
      given({ algo, ...spec }, { key: `${setup.planned.length}`.padStart(64, '0'), ...members }),
    );
    return setup.planned.at(-1)?.key;
  };
  const first = await key({});
  t.is(await key({ inputs: [{ path: '/in/a', inline: 'e30=' }] }), first);
  const others = [
    await key({}, { owner: 'ben' }),
    await key({}, { gpus: 1 }),
    await key({ algo: setup.storage.put('algo', 'another') }),
    await key({ env: { A: 'b' } }),
    await key({ command: ['a'] }),
    await key({ warm: 'zeromq' }),
    await key({ inputs: [{ path: '/a', inline: 'e30=' }] }),
    await key({ limits: { memory_bytes: 2 ** 23 } }),
    await key({}, { run_ms: 1000 }),
  ];
  t.is(new Set([first, ...others]).size, others.length + 1);
});

test('What is no file, or too much, is no answer', async (t) => {
  await using setup = await setUp();
  const algo = setup.storage.put('algo', 'context');
  setup.state.program = async (_, outputs) => await symlink('/etc/passwd', join(outputs, 'link'));
  const link = await setup.run(given({ algo }));
  t.like(link, { outcome: 'failed', log: 'begun\n' });
  t.regex('message' in link ? link.message : '', /outputs\/link is a link/);
  setup.state.program = async (_, outputs) => {
    await writeFile(join(outputs, 'large'), '');
    await truncate(join(outputs, 'large'), MOST_IN_CALL.outputBytes + 1);
  };
  const large = await setup.run(given({ algo }));
  t.like(large, { outcome: 'refused', code: 'too_large' });
  t.regex('message' in large ? large.message : '', /8388608 bytes together.*Make it an order/s);
});

test('However a call ends, that is told in terms of its caller', async (t) => {
  await using setup = await setUp();
  const algo = setup.storage.put('algo', 'context');
  const tail = ['the last line'];
  const why = { ended: 'exited', exitCode: 3, seconds: 1 } as const;
  const cases: readonly (readonly [Error, Partial<CallDone>])[] = [
    [
      new CallFailed('No such class', { type: 'KeyError', traceback: 'line 1', tail }),
      { outcome: 'failed', message: 'No such class', type: 'KeyError', traceback: 'line 1' },
    ],
    [
      new RunnerEnded('Its runner ended.', { why, phase: 'running', alone: true, tail }),
      { outcome: 'ended', message: 'Its runner ended. It ended with exit code 3.' },
    ],
    [
      new RunnerEnded('It was ended.', {
        ...{ why: new ProtocolFault('It answered twice.'), phase: 'running', alone: true, tail },
      }),
      { outcome: 'ended', message: 'It was ended. It answered twice.' },
    ],
    [
      new CallTimedOut('Too slow.', { phase: 'running', limitMs: 1, alone: true, tail }),
      { outcome: 'timed_out', phase: 'running' },
    ],
    [
      new RunnerBroken('Three starts have failed.', { tail }),
      { outcome: 'refused', code: 'unavailable', message: 'Three starts have failed.' },
    ],
    [new PlatformError('rate_limited', 'Too many wait.'), { outcome: 'refused', code: 'rate_limited' }],
    [new TypeError('a fault of ours'), { outcome: 'refused', code: 'internal' }],
  ];
  for (const [error, told] of cases) {
    setup.state.program = async () => {
      throw error;
    };
    t.like(await setup.run(given({ algo })), told, error.message);
  }
});

test('What a call names and is not there is told, and asked for again at the next call', async (t) => {
  await using setup = await setUp();
  const missing = '3f1d8a52-6a3a-4c1e-9d53-0a6f0f1c2b7e';
  const done = await setup.run(given({ algo: missing }));
  t.like(done, { outcome: 'refused', code: 'invalid_order' });
  t.regex('message' in done ? done.message : '', new RegExp(`no algo ${missing}`));
  t.like(await setup.run(given({ algo: setup.storage.put('algo', 'there') })), { outcome: 'done' });
});

test('A call that has waited as long as it may ends, and so does one that nobody waits for', async (t) => {
  await using setup = await setUp();
  const algo = setup.storage.put('algo', 'context');
  const asked = Promise.withResolvers<void>();
  setup.storage.fault = () => {
    asked.resolve();
    return new PlatformError('unavailable', 'Storage is away.');
  };
  t.like(await setup.run(given({ algo }, { wait_ms: 1 })), { outcome: 'timed_out', phase: 'waiting' });
  setup.state.views = [
    {
      ...{ key: 'k', id: 'one', state: 'starting', protocol: 'runner', ageMs: 9, calls: 0, underWay: 0 },
      ...{ free: 0, waiting: 1, memoryBytes: 1, gpus: 0, tail: () => ['loading', 'half of it'] },
      shown: { owner: 'ann', image: 'algo', callKey: 'b'.repeat(64) },
    },
  ];
  t.like(await setup.run(given({ algo }, { wait_ms: 1, key: 'b'.repeat(64) })), {
    ...{ outcome: 'timed_out', phase: 'starting', log: 'loading\nhalf of it' },
  });
  const over = new AbortController();
  const running = setup.run(given({ algo }, { key: 'c'.repeat(64) }), over.signal);
  await asked.promise;
  over.abort(new PlatformError('cancelled', 'Nobody waits.'));
  t.like(await running, { outcome: 'refused', code: 'cancelled' });
});
