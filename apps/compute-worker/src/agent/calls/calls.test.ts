import { randomBytes, randomUUID } from 'node:crypto';
import {
  type CallDone,
  type CallsExchanged,
  type GivenCall,
  MOST_IN_CALL,
  PlatformError,
} from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { RunnerView } from '../../runners/index.ts';
import type { CallNews } from '../registration.ts';
import { Calls } from './calls.ts';

const KEY = 'a'.repeat(64);
const PLAN = 'b'.repeat(64);
const NOTHING: CallsExchanged = { calls: [], cancelled: [], retry: [] };

function aCall(): GivenCall {
  return {
    ...{ call: `${randomBytes(6).toString('hex')}-${randomBytes(10).toString('hex')}`, key: KEY },
    ...{ spec: { algo: randomUUID(), warm: 'runner' }, gpus: 0, wait_ms: 60_000 },
  };
}

/** A worker's calls, with compute-api and runners as a test says. */
function setUp() {
  const told: CallNews[] = [];
  const running = new Map<string, { readonly end: (done: CallDone) => void; readonly over: AbortSignal }>();
  const retried: string[] = [];
  let listener = () => {};
  let open: PromiseWithResolvers<CallsExchanged> | undefined;
  const state = {
    views: [] as RunnerView[],
    room: 4,
    fault: undefined as Error | undefined,
    /** What the next exchange brings. */
    due: [] as CallsExchanged[],
  };
  const calls = new Calls({
    exchange: async (news, signal) => {
      told.push(news);
      if (state.fault !== undefined) throw state.fault;
      open?.resolve(NOTHING);
      const due = state.due.shift();
      if (due !== undefined || news.wait_ms === 0) return due ?? NOTHING;
      const mine = Promise.withResolvers<CallsExchanged>();
      open = mine;
      signal.addEventListener('abort', () => mine.reject(signal.reason), { once: true });
      return await mine.promise;
    },
    run: async ({ call }, over) => {
      const { promise, resolve } = Promise.withResolvers<CallDone>();
      running.set(call, { end: resolve, over });
      over.addEventListener(
        'abort',
        () => resolve({ call, outcome: 'refused', code: 'unavailable', message: 'stopped' }),
        { once: true },
      );
      return await promise;
    },
    runners: {
      list: () => state.views,
      room: () => ({ runners: state.room, memoryBytes: 1000, gpus: 2, mostMemoryBytes: 5000 }),
      retry: (key) => retried.push(key) > 0,
      onChange: (changed) => {
        listener = changed;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    planKeys: () => [[KEY, PLAN]],
    log: silentLog,
  });
  const answer = (brings: Partial<CallsExchanged>) => {
    const before = open;
    open = undefined;
    before?.resolve({ ...NOTHING, ...brings });
  };
  return {
    ...{ calls, told, running, retried, state, answer },
    changed: () => listener(),
    done: () => told.flatMap(({ done }) => done),
    [Symbol.asyncDispose]: async () => await calls.close(),
  };
}

function view(members: Partial<RunnerView> = {}): RunnerView {
  return {
    ...{ key: PLAN, id: 'one', shown: { owner: 'ann', image: 'algo x' }, protocol: 'runner', state: 'idle' },
    ...{ ageMs: 1500, calls: 3, underWay: 0, free: 1, waiting: 0, memoryBytes: 10, gpus: 0 },
    ...members,
  };
}

test('A worker tells at once for how many calls it has room, and keeps the exchange open', async (t) => {
  await using worker = setUp();
  await eventually(t, (is) => is.is(worker.told.length, 1));
  t.like(worker.told[0], { seq: 0, room: 4, ready: [], holds: [], done: [] });
  t.deepEqual(worker.told[0]?.limits, { memory_bytes: 1000, gpus: 2, most_memory_bytes: 5000 });
  t.true((worker.told[0]?.wait_ms ?? 0) > 10_000);
});

test('How a call ended is told with the next exchange, and a call that comes twice is run once', async (t) => {
  await using worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.is(worker.running.size, 1));
  worker.answer({ calls: [call] });
  worker.running.get(call.call)?.end({ call: call.call, outcome: 'ended', message: 'It ended.' });
  await eventually(t, (is) =>
    is.deepEqual(worker.done(), [{ call: call.call, outcome: 'ended', message: 'It ended.' }]),
  );
  await eventually(t, (is) => is.deepEqual(worker.told.at(-1)?.holds, []));
  t.is(worker.running.size, 1);
});

test('While a call runs, it is told that the worker has it', async (t) => {
  await using worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.deepEqual(worker.told.at(-1)?.holds, [call.call]));
  t.deepEqual(worker.done(), []);
});

test('What an exchange told that was not answered is told again', async (t) => {
  await using worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.is(worker.running.size, 1));
  worker.state.fault = new PlatformError('unavailable', 'compute-api is away.');
  worker.running.get(call.call)?.end({ call: call.call, outcome: 'ended', message: 'It ended.' });
  await eventually(t, (is) => is.true(worker.done().length > 0));
  worker.state.fault = undefined;
  const before = worker.told.length;
  await eventually(t, (is) => is.true(worker.told.slice(before).some(({ done }) => done.length === 1)));
});

test('A call that nobody waits for any more is ended, and its end is not told', async (t) => {
  await using worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.deepEqual(worker.told.at(-1)?.holds, [call.call]));
  worker.answer({ cancelled: [call.call], retry: [PLAN] });
  await eventually(t, (is) => is.true(worker.running.get(call.call)?.over.aborted));
  await eventually(t, (is) => is.deepEqual(worker.told.at(-1)?.holds, []));
  t.deepEqual(worker.done(), []);
  t.deepEqual(worker.retried, [PLAN]);
});

test('Runners that are there now are told, by the keys of their calls', async (t) => {
  await using worker = setUp();
  await eventually(t, (is) => is.is(worker.told.length, 1));
  worker.state.views = [view({ waiting: 1 }), view({ id: 'two', state: 'starting', free: 0, waiting: 1 })];
  worker.changed();
  await eventually(t, (is) => is.is(worker.told.length, 2));
  const [, { ready, runners } = { ready: [], runners: [] }] = worker.told;
  t.deepEqual(ready, [{ key: KEY, room: 3 }]);
  t.like(runners?.[0], { key: PLAN, owner: 'ann', image: 'algo x', age_seconds: 1, calls: 3, state: 'idle' });
  worker.state.views = [view({ state: 'busy', calls: 4 }), view({ id: 'two', state: 'starting', free: 0 })];
  worker.changed();
  worker.answer({});
  await eventually(t, (is) => is.is(worker.told.length, 3));
});

test('A worker that drains takes no more, and is done when its last call was told', async (t) => {
  await using worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.is(worker.running.size, 1));
  let isDrained = false;
  const draining = worker.calls.drain().then(() => {
    isDrained = true;
  });
  await eventually(t, (is) => is.like(worker.told.at(-1), { room: 0, ready: [], holds: [call.call] }));
  t.false(isDrained);
  worker.running.get(call.call)?.end({ call: call.call, outcome: 'ended', message: 'It ended.' });
  await draining;
  t.is(worker.done().length, 1);
  const quiet = setUp();
  await quiet.calls.drain();
  await quiet.calls.close();
});

test('A worker that closes ends its calls, and their callers are told', async (t) => {
  const worker = setUp();
  const call = aCall();
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.is(worker.running.size, 1));
  await worker.calls.close();
  await worker.calls.close();
  t.like(worker.done()[0], { call: call.call, code: 'unavailable' });
  t.is(worker.told.at(-1)?.wait_ms, 0);
});

test('Whatever calls have printed, an exchange is no longer than it may be', async (t) => {
  await using worker = setUp();
  const calls = Array.from({ length: 100 }, aCall);
  worker.answer({ calls });
  await eventually(t, (is) => is.is(worker.running.size, calls.length));
  const log = '\u0001'.repeat(MOST_IN_CALL.logCharacters);
  for (const { call } of calls)
    worker.running.get(call)?.end({ call, outcome: 'ended', message: 'It ended.', log });
  await eventually(t, (is) => is.is(worker.done().length, calls.length));
  for (const { done } of worker.told) t.true(JSON.stringify(done).length < MOST_IN_CALL.exchangeBytes);
});

test('A worker that closes begins no call that its last exchange brings', async (t) => {
  const worker = setUp();
  const [call, late] = [aCall(), aCall()];
  worker.answer({ calls: [call] });
  await eventually(t, (is) => is.is(worker.running.size, 1));
  worker.state.due.push({ ...NOTHING, calls: [late] });
  await worker.calls.close();
  t.is(worker.done()[0]?.call, call.call);
  t.false(worker.running.has(late.call));
});

test('Of a compute-api that does not answer it is asked again, and a worker that drains does not wait for it', async (t) => {
  await using worker = setUp();
  await eventually(t, (is) => is.is(worker.told.length, 1));
  worker.state.fault = new PlatformError('unavailable', 'compute-api is away.');
  worker.answer({});
  await eventually(t, (is) => is.true(worker.told.length > 3));
  await worker.calls.drain();
});
