import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { CallFailed, CallTimedOut, RunnerEnded } from './errors.ts';
import { openHttpDoor } from './http-door.ts';
import type { OpenDoor, RunnerDesk } from './protocol.ts';
import { gathered, openRunnersFixture } from './testing.ts';

const ANSWER = "fs.writeFileSync(outputs + '/answer', String(";

test('A call whose files take longer to come than a program waits is given to it when it asks anew', async (t) => {
  let asked = 0;
  const waited = new AbortController();
  const openDoor: OpenDoor = async ({ desk, ...options }) => {
    const impatient: RunnerDesk = {
      next: async (most, signal) => {
        asked += 1;
        return await desk.next(most, asked === 1 ? AbortSignal.any([signal, waited.signal]) : signal);
      },
      answer: (id, answer) => desk.answer(id, answer),
      fault: (fault) => desk.fault(fault),
    };
    return await openHttpDoor({ ...options, desk: impatient });
  };
  await using fixture = await openRunnersFixture({}, { doors: { runner: openDoor } });
  let fills = 0;
  const fill = async (inputs: string) => {
    fills += 1;
    waited.abort();
    await eventually(t, (t) => t.true(asked > 1));
    await writeFile(join(inputs, 'program'), '');
  };
  await fixture.call('', { plan: await fixture.plan(), fill });
  t.is(fills, 1);
});

test('What a call left anywhere is gone before the next', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const leave = `for (const folder of [process.env.TMPDIR, process.env.HOME, inputs, outputs, outputs + '/../..']) {
    fs.mkdirSync(folder + '/deep/er', { recursive: true });
    fs.writeFileSync(folder + '/deep/er/secret', 'x');
    fs.chmodSync(folder + '/deep', 0);
  }
  keeps.folders = [process.env.TMPDIR, process.env.HOME, outputs + '/../..'].map((f) => fs.realpathSync(f));
  keeps.own = fs.realpathSync(outputs + '/..');`;
  await fixture.call(leave, { plan });
  const look = `${ANSWER}JSON.stringify([fs.existsSync(keeps.own), ...keeps.folders.map((f) => fs.readdirSync(f).length)])))`;
  const { value, reused } = await fixture.call(look, { plan });
  t.is(reused, 1);
  t.deepEqual(JSON.parse(value), [false, 0, 0, 1], 'but for the folder of the call itself');
  const apart = join(fixture.folder, 'runners', '1', '1', 'apart');
  await eventually(t, (t) => {
    for (const name of readdirSync(apart))
      for (const part of ['inputs', 'outputs']) t.deepEqual(readdirSync(join(apart, name, part)), []);
  });
});

test('A link that a call leaves is removed, and nothing that it leads to', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const kept = join(fixture.folder, 'kept');
  await writeFile(kept, 'kept');
  const folder = JSON.stringify(fixture.folder);
  await fixture.call(
    `for (const at of [process.env.TMPDIR, outputs]) fs.symlinkSync(${folder}, at + '/link')`,
    { plan },
  );
  await fixture.call('', { plan });
  t.is(await readFile(kept, 'utf8'), 'kept');
});

test('A call that puts a link in the place of its outputs ends its runner, and nothing is read through it', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  await writeFile(join(fixture.folder, 'answer'), 'a secret of the worker');
  const folder = JSON.stringify(fixture.folder);
  const swap = `fs.renameSync(outputs, outputs + '.old'); fs.symlinkSync(${folder}, outputs)`;
  await t.throwsAsync(fixture.call(swap, { plan }), { instanceOf: RunnerEnded, message: /in the place/ });
  const gone = "fs.rmSync(outputs + '/..', { recursive: true })";
  await t.throwsAsync(fixture.call(gone, { plan }), { instanceOf: RunnerEnded, message: /in the place/ });
  t.is((await fixture.call(`${ANSWER}1))`, { plan })).value, '1');
});

test('What is printed during a call is the log of the call, and of no other', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  for (const word of ['one', 'two']) {
    const printed = gathered();
    const all = `${word}\nloud ${word}\n`;
    const heard = join(fixture.folder, word);
    await fixture.call(`console.log('${word}'); console.error('loud ${word}'); await once('${heard}')`, {
      plan,
      onOutput: async (chunk) => {
        await printed.onOutput(chunk);
        if (printed.text.length === all.length) await writeFile(heard, '');
      },
    });
    t.deepEqual(printed.text.split('\n').toSorted(), all.split('\n').toSorted());
  }
});

test('A call that fails says what the program says, and its runner ends', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const fail = "return { id, ok: false, message: 'no such word', type: 'KeyError', traceback: 'line 1' }";
  const error = await t.throwsAsync(fixture.call(fail, { plan }), { instanceOf: CallFailed });
  t.like(error, { message: 'no such word', type: 'KeyError', traceback: 'line 1' });
  t.is((await fixture.call('', { plan })).reused, 0);
});

test('A runner that dies in the middle fails its call with how it ended and what it printed last', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  await fixture.call('', { plan });
  const die = "console.error('the last words'); process.kill(process.pid, 'SIGKILL')";
  const error = await t.throwsAsync(fixture.call(die, { plan }), { instanceOf: RunnerEnded });
  t.like(error, { phase: 'running', alone: true, why: { ended: 'exited', exitCode: 137 } });
  t.deepEqual(error.tail, ['the last words']);
  t.is((await fixture.call('', { plan })).reused, 0, 'the next call has a new one');
});

test('A runner that passes a limit is ended for it', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan({ limits: { outputBytes: 1000, diskBytes: 5_000_000 } });
  const print = "console.log('x'.repeat(2000)); await forever()";
  await t.throwsAsync(fixture.call(print, { plan }), { instanceOf: RunnerEnded });
  const fill = `for (;;) { fs.appendFileSync(outputs + '/big', Buffer.alloc(1_000_000)); await new Promise((r) => setTimeout(r, 5)); }`;
  const error = await t.throwsAsync(fixture.call(fill, { plan }), { instanceOf: RunnerEnded });
  t.like(error, { why: { ended: 'disk_full' } });
});

test('A call that takes too long ends its runner', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan({ limits: { wallMs: 200 } });
  const error = await t.throwsAsync(fixture.call('await forever()', { plan }), {
    instanceOf: CallTimedOut,
    message: /longer than 200 ms/,
  });
  t.like(error, { phase: 'running', limitMs: 200, alone: true });
  await eventually(t, (t) => t.deepEqual(fixture.runners.list(), []));
});

test('A call that is cancelled ends its runner, and one that waits just leaves the queue', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan();
  const started = join(fixture.folder, 'started');
  const [busy, waits] = [new AbortController(), new AbortController()];
  const running = fixture.call(`fs.writeFileSync('${started}', ''); await forever()`, {
    plan,
    signal: busy.signal,
  });
  await eventually(t, (t) => t.true(existsSync(started)));
  const waiting = fixture.call('', { plan, signal: waits.signal });
  t.like(fixture.runners.list(), [{ state: 'busy', underWay: 1, waiting: 1 }]);
  waits.abort(new Error('not wanted'));
  await t.throwsAsync(waiting, { message: 'not wanted' });
  t.like(fixture.runners.list(), [{ state: 'busy', underWay: 1, waiting: 0 }]);
  busy.abort(new Error('enough'));
  await t.throwsAsync(running, { message: 'enough' });
  t.is((await fixture.call('', { plan })).reused, 0);
});

test('What cannot be filled, taken or logged fails its call alone', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const reject = (message: string) => async () => await Promise.reject(new Error(message));
  await t.throwsAsync(fixture.call('', { plan, fill: reject('no input') }), { message: 'no input' });
  await t.throwsAsync(fixture.call('', { plan, take: reject('no output') }), { message: 'no output' });
  t.is((await fixture.call('', { plan })).reused, 1, 'the runner goes on');
  const say = "console.log('x'); await forever()";
  await t.throwsAsync(fixture.call(say, { plan, onOutput: reject('no log') }), { message: 'no log' });
});

test('Calls come together where a runner takes several at once', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan({ maxBatch: 3, environment: { MAX: '3', PIPELINED: '1' } });
  const meet = `keeps.here = (keeps.here ?? 0) + 1;
    while (keeps.here < 3) await new Promise((r) => setTimeout(r, 5));
    ${ANSWER}keeps.here))`;
  const values = await Promise.all([1, 2, 3].map(async () => (await fixture.call(meet, { plan })).value));
  t.deepEqual(values, ['3', '3', '3']);
});

test('Who is in a runner with others knows that it may have been them', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan({ maxBatch: 2, environment: { MAX: '2', PIPELINED: '1' } });
  const meet =
    'keeps.here = (keeps.here ?? 0) + 1; while (keeps.here < 2) await new Promise((r) => setTimeout(r, 5));';
  const hang = `${meet} await forever()`;
  const both = await Promise.allSettled([
    fixture.call(hang, { plan }),
    fixture.call(`${meet} process.exit(1)`, { plan }),
  ]);
  for (const one of both) {
    t.is(one.status, 'rejected');
    if (one.status === 'rejected') t.like(one.reason, { name: 'RunnerEnded', alone: false });
  }
  const again = await fixture.call(`${ANSWER}'alone'))`, { plan, alone: true });
  t.is(again.value, 'alone');
});

test('A call that wants to be alone is', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan({ maxBatch: 4, environment: { MAX: '4', PIPELINED: '1' } });
  const count = `keeps.now = (keeps.now ?? 0) + 1; const most = keeps.now;
    await new Promise((r) => setTimeout(r, 20)); keeps.now -= 1; ${ANSWER}Math.max(most, keeps.now + 1)))`;
  const calls = [false, false, true, false, false].map((alone) => fixture.call(count, { plan, alone }));
  const values = (await Promise.all(calls)).map(({ value }) => value);
  t.is(values[2], '1');
});

test('A cancelled call leaves the others of its runner to their end', async (t) => {
  await using fixture = await openRunnersFixture({ most: 1 });
  const plan = await fixture.plan({ maxBatch: 2, environment: { MAX: '2', PIPELINED: '1' } });
  const stop = new AbortController();
  const go = join(fixture.folder, 'go');
  const here = join(fixture.folder, 'here');
  const hangs = fixture.call(`fs.writeFileSync('${here}', ''); await forever()`, {
    plan,
    signal: stop.signal,
  });
  const ends = fixture.call(`await once('${go}'); ${ANSWER}'ended'))`, { plan });
  await eventually(t, (t) => t.like(fixture.runners.list(), [{ underWay: 2 }]));
  await eventually(t, (t) => t.true(existsSync(here)));
  stop.abort(new Error('enough'));
  await t.throwsAsync(hangs, { message: 'enough' });
  t.like(fixture.runners.list(), [{ state: 'ending', free: 0 }]);
  await writeFile(go, '');
  t.is((await ends).value, 'ended');
  await eventually(t, (t) => t.deepEqual(fixture.runners.list(), []));
});
