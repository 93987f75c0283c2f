import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { SparePlan } from './plan.ts';
import { type SpareLimits, SparePool, WAITING_BYTES } from './pool.ts';

const LIMITS: SpareLimits = { most: 2, perImage: 1, memoryBytes: 2 ** 30, idleMs: 60_000 };

function plan(key: string, image = key): SparePlan {
  const id = `sha256:${image}`;
  return { key, image: { id, name: image }, options: {}, mounts: [], places: [], memoryBytes: 1000 };
}

/** A pool of containers that are none; `left` has the keys of those that are there. */
function open(limits: Partial<SpareLimits> = {}, free = 2 ** 30) {
  const left: string[] = [];
  const started: string[] = [];
  const broken = new Set<string>();
  const ends = new Map<string, () => void>();
  const pool = new SparePool({
    limits: { ...LIMITS, ...limits },
    log: silentLog,
    freeBytes: () => free,
    start: async ({ key }) => {
      started.push(key);
      if (broken.has(key)) throw new Error(`No ${key}`);
      left.push(key);
      const { promise: gone, resolve } = Promise.withResolvers<void>();
      ends.set(key, resolve);
      return {
        key,
        waits: true,
        gone,
        pause: async () => undefined,
        [Symbol.asyncDispose]: async () => void left.splice(left.indexOf(key), 1),
      };
    },
  });
  return { pool, left, started, broken, ends };
}

const { signal } = new AbortController();

test('One that was started for a run is handed over once, while it is still being started too', async (t) => {
  const { pool, left } = open();
  pool.near(plan('a'));
  pool.near(plan('a'));
  t.is((await pool.take('a', signal))?.key, 'a');
  t.is(await pool.take('a', signal), undefined);
  t.deepEqual(left, ['a'], 'who has it removes it');
});

test('There are no more than may be, of one image and of all', async (t) => {
  const { pool, left } = open();
  for (const [key, image] of [
    ['a', 'x'],
    ['b', 'x'],
    ['c', 'y'],
    ['d', 'z'],
  ] as const)
    pool.near(plan(key, image));
  await pool.clear(async () => true);
  t.deepEqual(left, ['a', 'c']);
});

for (const [what, limits, free] of [
  ['none are wanted', { most: 0 }, 2 ** 30],
  ['they may take no memory', { memoryBytes: WAITING_BYTES - 1 }, 2 ** 30],
  ['memory is short', {}, WAITING_BYTES],
] as const) {
  test(`None is started where ${what}`, async (t) => {
    const { pool, started } = open(limits, free);
    pool.near(plan('a'));
    t.is(await pool.take('a', signal), undefined);
    t.deepEqual(started, []);
  });
}

test('One is kept for what ran twice, and makes place for what is near', async (t) => {
  const { pool, left, started } = open({ most: 1 });
  pool.ended(plan('a'));
  pool.ended(plan('a'));
  await eventually(t, (inner) => inner.deepEqual(left, ['a']));
  pool.near(plan('b'));
  await eventually(t, (inner) => inner.deepEqual(left, ['b']));
  pool.near(plan('c'));
  t.deepEqual(started, ['a', 'b'], 'not in the place of one that is near as well');
  pool.ended(plan('d'));
  t.deepEqual(started, ['a', 'b'], 'once is no habit');
});

test('What could not be started is not tried again soon, and is told', async (t) => {
  const { pool, started, broken } = open();
  broken.add('a');
  pool.near(plan('a'));
  t.is(await pool.take('a', signal), undefined);
  pool.near(plan('a'));
  t.deepEqual(started, ['a']);
  t.is(pool.problem, 'No a');
  pool.near(plan('b'));
  t.is((await pool.take('b', signal))?.key, 'b');
  t.is(pool.problem, undefined);
});

test('One that has gone is removed', async (t) => {
  const { pool, left, ends } = open();
  pool.near(plan('a'));
  await eventually(t, (inner) => inner.deepEqual(left, ['a']));
  ends.get('a')?.();
  await eventually(t, (inner) => inner.deepEqual(left, []));
  t.is(await pool.take('a', signal), undefined);
});

test('One that nobody needs is removed after a while, and all are when the pool closes', async (t) => {
  const { pool, left, started } = open({ idleMs: 30 });
  pool.near(plan('a'));
  await eventually(t, (inner) => inner.deepEqual([started, left], [['a'], []]));
  const lasting = open();
  lasting.pool.near(plan('a'));
  lasting.pool.near(plan('b'));
  await lasting.pool[Symbol.asyncDispose]();
  t.deepEqual([lasting.started, lasting.left], [['a', 'b'], []]);
  lasting.pool.near(plan('c'));
  t.is(lasting.started.length, 2);
});

test('A run that is aborted while it waits for its container leaves none', async (t) => {
  const { pool, left } = open();
  pool.near(plan('a'));
  const reason = new Error('cancelled');
  t.is(await t.throwsAsync(pool.take('a', AbortSignal.abort(reason))), reason);
  await eventually(t, (inner) => inner.deepEqual(left, []));
});
