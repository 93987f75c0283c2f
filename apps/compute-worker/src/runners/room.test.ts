import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure, PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { GpuAllocator } from '../gpus/allocator.ts';
import { someGpus } from '../testing/gpus.ts';
import { CallTimedOut, RunnerBroken } from './errors.ts';
import type { RunnerView } from './index.ts';
import { openRunnersFixture } from './testing.ts';

const GPUS = "fs.writeFileSync(outputs + '/answer', process.env.CUDA_VISIBLE_DEVICES)";
const byText = (a: string, b: string) => (a < b ? -1 : 1);
const states = (views: readonly RunnerView[]) => views.map(({ state }) => state);

test('Where there is room for one, the runner that nobody needs ends for another', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const [one, other] = [await fixture.plan(), await fixture.plan()];
  const first = await fixture.call('', { plan: one });
  const second = await fixture.call('', { plan: other });
  t.not(second.runner, first.runner);
  t.deepEqual(
    fixture.runners.list().map(({ key }) => key),
    [other.key],
  );
  t.is((await fixture.call('', { plan: one })).reused, 0);
});

test('Of runners that nobody needs, the least recently used ends first', async (t) => {
  await using fixture = await openRunnersFixture({ most: 2 });
  const [a, b, c] = [await fixture.plan(), await fixture.plan(), await fixture.plan()];
  for (const plan of [a, b, a, c]) await fixture.call('', { plan });
  t.deepEqual(
    fixture.runners
      .list()
      .map(({ key }) => key)
      .toSorted(byText),
    [a.key, c.key].toSorted(byText),
  );
});

test('Memory is shared out by limits, and what can never fit is refused at once', async (t) => {
  await using fixture = await openRunnersFixture({ most: 9, memoryBytes: 5_000_000_000 });
  const plans = [await fixture.plan(), await fixture.plan(), await fixture.plan()];
  t.like(fixture.runners.room(), { runners: 9, memoryBytes: 5_000_000_000 });
  for (const plan of plans) await fixture.call('', { plan });
  t.is(fixture.runners.list().length, 2, 'of 2 GB each, two fit into 5');
  await eventually(t, (t) => t.like(fixture.runners.room(), { runners: 9, memoryBytes: 5_000_000_000 }));
  const large = await fixture.plan({ limits: { memoryBytes: 20_000_000_000 } });
  await t.throwsAsync(fixture.call('', { plan: large }), {
    code: 'invalid_order',
    message: /20\.0 GB of memory cannot be here.*5\.0 GB/,
  });
});

test('A call waits for a busy runner, and another runner starts where that takes long', async (t) => {
  await using fixture = await openRunnersFixture({ most: 2 });
  const plan = await fixture.plan();
  const go = join(fixture.folder, 'go');
  const calls = [1, 2, 3].map(async () => await fixture.call(`await once('${go}')`, { plan }));
  await eventually(t, (t) => t.deepEqual(states(fixture.runners.list()), ['busy', 'busy']));
  t.deepEqual(
    fixture.runners.list().map(({ waiting }) => waiting),
    [1, 1],
  );
  await writeFile(go, '');
  const runners = new Set((await Promise.all(calls)).map(({ runner }) => runner));
  t.is(runners.size, 2);
});

test('A runner that never has a rest gives its room to who waits for it, after its turn', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1, turnMs: 50 });
  const [busy, other] = [await fixture.plan(), await fixture.plan()];
  const answered = new AbortController();
  const callOn = async () => {
    while (!answered.signal.aborted) await fixture.call('', { plan: busy });
  };
  const callers = [callOn(), callOn(), callOn()];
  await eventually(t, (t) => t.deepEqual(states(fixture.runners.list()), ['busy']));
  t.is((await fixture.call('', { plan: other })).reused, 0);
  answered.abort();
  await Promise.all(callers);
});

test('No more calls wait than may, and others are refused', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1, queue: 2 });
  const plan = await fixture.plan();
  const go = join(fixture.folder, 'go');
  const wait = async () => await fixture.call(`await once('${go}')`, { plan });
  const calls = [wait()];
  await eventually(t, (t) => t.deepEqual(states(fixture.runners.list()), ['busy']));
  calls.push(wait(), wait());
  await t.throwsAsync(wait(), { code: 'rate_limited', message: /2 calls wait/ });
  await writeFile(go, '');
  t.is((await Promise.all(calls)).length, 3);
});

test('A call that waits too long for room fails, and while a runner starts none does', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1, waitMs: 50 });
  const go = join(fixture.folder, 'go');
  const slow = await fixture.plan({
    prepare: async () => await eventually(t, (t) => t.true(existsSync(go))),
  });
  const starting = fixture.call(`await forever()`, { plan: slow, signal: AbortSignal.timeout(600_000) });
  starting.catch(() => undefined);
  const other = await fixture.plan();
  const error = await t.throwsAsync(fixture.call('', { plan: other }), {
    instanceOf: CallTimedOut,
    message: /waited for 50 ms, and there was no room/,
  });
  t.is(error.phase, 'waiting');
  t.like(fixture.runners.list(), [{ state: 'starting', waiting: 1 }], 'the first waits longer than 50 ms');
  await writeFile(go, '');
  await eventually(t, (t) => t.deepEqual(states(fixture.runners.list()), ['busy']));
});

test('A start that fails by the rights of a call which is over fails no other', async (t) => {
  await using fixture = await openRunnersFixture();
  const gone = new AbortController();
  const key = randomUUID();
  const prepare = async () => {
    await once(gone.signal, 'abort');
    throw new PlatformError('stale_attempt', 'The order has ended.');
  };
  const first = fixture.call('', { plan: await fixture.plan({ key, prepare }), signal: gone.signal });
  const second = fixture.call('', { plan: await fixture.plan({ key }) });
  second.catch(() => undefined);
  await eventually(t, (t) => t.like(fixture.runners.list(), [{ state: 'starting', waiting: 2 }]));
  gone.abort(new Error('gone'));
  await t.throwsAsync(first, { message: 'gone' });
  t.is((await second).reused, 0);
});

test('Of calls that were given up while they waited for room nothing is kept', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const go = join(fixture.folder, 'go');
  const busy = fixture.call(`await once('${go}')`, { plan: await fixture.plan() });
  await eventually(t, (t) => t.deepEqual(states(fixture.runners.list()), ['busy']));
  const plan = await fixture.plan();
  const gone = new AbortController();
  const waiting = fixture.call('', { plan, signal: gone.signal });
  gone.abort(new Error('gone'));
  await t.throwsAsync(waiting, { message: 'gone' });
  t.false(fixture.runners.retry(plan.key), 'nothing is known of it');
  await writeFile(go, '');
  await busy;
});

test('A runner that nobody needs for a while ends', async (t) => {
  await using fixture = await openRunnersFixture({ idleMs: 10 });
  await fixture.call('', { plan: await fixture.plan() });
  await eventually(t, (t) => t.deepEqual(fixture.runners.list(), []));
});

test('A runner ends after so many calls, and after so long', async (t) => {
  await using few = await openRunnersFixture({ calls: 2 });
  const plan = await few.plan();
  const reused = [];
  for (let call = 0; call < 5; call += 1) reused.push((await few.call('', { plan })).reused);
  t.deepEqual(reused, [0, 1, 0, 1, 0]);
  await using short = await openRunnersFixture({ ageMs: 10 });
  await short.call('', { plan: await short.plan() });
  await eventually(t, (t) => t.deepEqual(short.runners.list(), []));
});

test('After three starts that fail no more are tried, until somebody asks for that', async (t) => {
  await using fixture = await openRunnersFixture();
  let starts = 0;
  const broken = {
    program: "console.error('no model'); process.exit(4)",
    prepare: async () => {
      starts += 1;
    },
  };
  const plan = await fixture.plan(broken);
  const error = await t.throwsAsync(fixture.call('', { plan }), {
    instanceOf: RunnerBroken,
    message: /3 starts in a row have failed, the last since it ended with exit code 4/,
  });
  t.deepEqual(error.tail, ['no model']);
  t.true(error.message.endsWith(`morpheo runners retry ${plan.key.slice(0, 8)}.`), error.message);
  t.is(starts, 3);
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: RunnerBroken });
  t.is(starts, 3, 'none was tried');
  t.like(fixture.runners.list(), [
    { key: plan.key, id: '', state: 'broken', problem: 'it ended with exit code 4' },
  ]);
  t.false(fixture.runners.retry('another'));
  t.true(fixture.runners.retry(plan.key));
  t.deepEqual(fixture.runners.list(), []);
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: RunnerBroken });
  t.is(starts, 6);
  const other = await fixture.plan();
  t.is((await fixture.call('', { plan: other })).reused, 0, 'another plan is none the worse');
});

test('A runner that never asks for a call has failed to start, and is not ended for being idle', async (t) => {
  await using fixture = await openRunnersFixture({ startMs: 100, idleMs: 1 });
  const plan = await fixture.plan({ program: 'setInterval(() => undefined, 1_000_000)' });
  await t.throwsAsync(fixture.call('', { plan }), {
    instanceOf: RunnerBroken,
    message: /had not asked for a call after 100 ms/,
  });
});

test('What is wrong with its image fails the calls at once, and so does what the platform lacks, which counts for nothing', async (t) => {
  await using fixture = await openRunnersFixture();
  let fault: Error = new OrderFailure('build_command_failed', { message: 'line 1' });
  const prepare = async () => await Promise.reject(fault);
  const plan = await fixture.plan({ prepare });
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: OrderFailure, message: 'line 1' });
  fault = new PlatformError('unavailable', 'Storage is away.');
  for (let call = 0; call < 4; call += 1)
    await t.throwsAsync(fixture.call('', { plan }), { code: 'unavailable', message: 'Storage is away.' });
  fault = new OrderFailure('build_command_failed', { message: 'line 1' });
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: OrderFailure });
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: OrderFailure });
  await t.throwsAsync(fixture.call('', { plan }), { instanceOf: RunnerBroken });
});

test('A runner has GPUs, which are free to others while it is idle', async (t) => {
  const gpus = new GpuAllocator(someGpus(2));
  await using fixture = await openRunnersFixture({}, { gpus });
  const plan = await fixture.plan({ gpus: 2 });
  const { value } = await fixture.call(GPUS, { plan });
  t.deepEqual(
    value.split(',').toSorted(byText),
    someGpus(2)
      .map(({ id }) => id)
      .toSorted(byText),
  );
  await eventually(t, (t) => t.is(gpus.free, 2));
  using lease = gpus.lease(1);
  await lease?.ready;
  t.deepEqual(fixture.runners.list(), [], 'it has ended for who leased one of them');
  t.is(fixture.runners.room().gpus, 1);
  const waiting = fixture.call(GPUS, { plan });
  t.is((await fixture.call(GPUS, { plan: await fixture.plan() })).value, '', 'others go on');
  lease?.[Symbol.dispose]();
  t.is((await waiting).reused, 0);
  await t.throwsAsync(fixture.call('', { plan: await fixture.plan({ gpus: 3 }) }), {
    code: 'invalid_order',
    message: /3 GPUs cannot be here: this worker has 2/,
  });
});

test('A worker without warm runners says so', async (t) => {
  await using none = await openRunnersFixture({ most: 0 });
  t.false(none.runners.possible);
  await t.throwsAsync(none.call('', { plan: await none.plan() }), { code: 'unavailable' });
  await using there = await openRunnersFixture();
  t.true(there.runners.possible);
});

test('When the worker stops nothing goes on, and who waits is told', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan();
  const here = join(fixture.folder, 'here');
  const running = fixture.call(`fs.writeFileSync('${here}', ''); await forever()`, { plan });
  await eventually(t, (t) => t.true(existsSync(here)));
  const waiting = fixture.call('', { plan });
  const told = Promise.all(
    [running, waiting].map((call) => t.throwsAsync(call, { code: 'unavailable', message: /worker stops/ })),
  );
  await fixture.runners[Symbol.asyncDispose]();
  await told;
  t.deepEqual(fixture.runners.list(), []);
  t.false(fixture.runners.possible);
});

test('Who listens is told of changes', async (t) => {
  await using fixture = await openRunnersFixture();
  const seen = new Set<string>();
  using _listening = fixture.runners.onChange(() => {
    for (const { state } of fixture.runners.list()) seen.add(state);
  });
  await fixture.call('', { plan: await fixture.plan() });
  await eventually(t, (t) => t.deepEqual([...seen].toSorted(byText), ['busy', 'idle', 'starting']));
});

test('What an earlier process left in the folder of runners is removed', async (t) => {
  await using fixture = await openRunnersFixture();
  await fixture.call("fs.mkdirSync(outputs + '/deep')", { plan: await fixture.plan() });
  const folder = join(fixture.folder, 'runners');
  t.deepEqual(readdirSync(folder), ['1']);
  await using again = await openRunnersFixture({}, { folder });
  t.true(again.runners.possible);
  t.deepEqual(readdirSync(join(folder, '1')), []);
});
