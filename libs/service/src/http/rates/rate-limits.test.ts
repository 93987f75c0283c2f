import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ROLES, type Role } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { createMetrics } from '../../metrics/index.ts';
import { credentials } from '../access/credentials.ts';
import type { RateLimits } from '../index.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService, type SmallOptions } from '../testing/small-service.ts';
import { basic } from '../testing/talk.ts';
import { clientOf } from './client-address.ts';
import { createRateGuard } from './guard.ts';

const CALLERS = [...ROLES, 'second'] as const;
const roleOf = (name: (typeof CALLERS)[number]): Role => (name === 'second' ? 'reader' : name);
const NONE: RateLimits = { perSecond: 0, burst: 0, guessesPerMinute: 0 };

/** So many in ten seconds, whatever the second: a test that takes a while must not earn more on the way. */
const few = (burst: number): RateLimits => ({ ...NONE, perSecond: 1, burst });

async function openLimited(rateLimits: RateLimits, options: SmallOptions = {}) {
  const authenticate = credentials(
    CALLERS.map((name) => ({ name, roles: [roleOf(name)], secretHash: cheapHash(name) })),
  );
  const metrics = createMetrics();
  const service = await openSmallService({
    authenticate,
    anonymousIntake: true,
    rateLimits,
    metrics,
    ...options,
  });
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const body = method === 'POST' ? '{}' : null;
    const answer = await fetch(`${service.url}${path}`, { method, headers, body });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };
  /** All at once, so that a machine that is slow does not spread them over time. */
  const statuses = async (times: number, ...call: Parameters<typeof ask>) => {
    const asked = Array.from({ length: times }, async () => (await ask(...call)).status);
    return await Promise.all(asked);
  };
  return { ...service, ask, statuses, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}

test('Who asks too much is told to wait, and how long', async (t) => {
  await using service = await openLimited(few(3));
  const statuses = await service.statuses(20, '/order', {}, 'POST');
  t.true(statuses.filter((status) => status === 202).length >= 4);
  t.true(statuses.includes(429), 'ten seconds cannot have passed');
  const { status, headers, text } = await service.ask('/order', {}, 'POST');
  if (status !== 429) return t.is(status, 202, 'a second has passed');
  t.regex(headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  t.like(JSON.parse(text), {
    code: 'rate_limited',
    status: 429,
    retry_after: Number(headers.get('retry-after')),
  });
  t.regex(
    (await service.ask('/metrics', {})).text,
    /http_rate_limited_total\{limit="requests"\} [1-9]|rate_limited/,
  );
});

test('Every path but the one that shows life is counted, for whoever asks', async (t) => {
  for (const path of ['/ready', '/metrics', '/openapi.json', '/docs', '/', '/no/such/path', '/data/x']) {
    for (const headers of [{}, basic('reader', 'wrong')] as Record<string, string>[]) {
      await using service = await openLimited(few(2));
      t.true((await service.statuses(20, path, headers)).includes(429), `${path} ${JSON.stringify(headers)}`);
      t.false((await service.statuses(20, '/health', headers)).includes(429));
    }
  }
});

test('Callers are counted by their names, and services not at all', async (t) => {
  await using service = await openLimited(few(2));
  t.true((await service.statuses(20, '/data/x', basic('reader', 'reader'))).includes(429));
  t.not((await service.ask('/data/x', basic('second', 'second'))).status, 429, 'another name');
  t.not((await service.ask('/order', {}, 'POST')).status, 429, 'nobody’s name');
  for (const role of ['admin', 'orchestrator', 'worker'] as const) {
    const call = role === 'worker' ? (['/v1/things/a', 'DELETE'] as const) : (['/order', 'POST'] as const);
    t.false((await service.statuses(20, call[0], basic(role, role), call[1])).includes(429), role);
  }
});

test('Where nobody is asked for credentials, workers are not held up either', async (t) => {
  await using service = await openLimited(few(1), { authenticate: null });
  t.false((await service.statuses(20, '/v1/things/a', {}, 'DELETE')).includes(429));
});

test('Guesses come to an end, and those who are known get in', async (t) => {
  await using service = await openLimited({ ...NONE, guessesPerMinute: 5 });
  t.is((await service.ask('/data/x', basic('reader', 'reader'))).status, 200);
  const guess = async (text: string) => (await service.ask('/data/x', basic('reader', text))).status;
  for (let count = 0; count < 5; count += 1) t.is(await guess(`guess ${count}`), 401);
  t.is(await guess('guess 5'), 429);
  t.is(await guess('reader'), 200, 'a secret that is known is no guess');
  t.is(await guess('guess 0'), 401, 'nor is one that is known to be wrong');
  const refused = await service.ask('/data/x', basic('reader', 'guess 6'));
  t.true(Number(refused.headers.get('retry-after')) > 1);
  t.is(
    (await service.ask('/data/x', basic('admin', 'admin'))).status,
    429,
    'not even a right one is looked at',
  );
  t.regex((await service.ask('/metrics')).text, /http_rate_limited_total\{limit="secrets"\} 3/);
});

test('Right secrets are no guesses, in whatever number and order they come', async (t) => {
  await using service = await openLimited({ ...NONE, guessesPerMinute: 2 });
  const asked = CALLERS.map(async (name) => (await service.ask('/data/x', basic(name, name))).status);
  // They may have to wait for one another, but at most that.
  t.true((await Promise.all(asked)).every((status) => [200, 403, 429].includes(status)));
  for (const name of CALLERS) t.not((await service.ask('/data/x', basic(name, name))).status, 429, name);
});

test('Without limits nothing is counted', async (t) => {
  await using service = await openLimited(NONE);
  t.false((await service.statuses(50, '/order', {}, 'POST')).includes(429));
});

/** What is in use once all that is not has been collected. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

test('However many addresses come, the memory for them is bounded', async (t) => {
  t.timeout(300_000);
  const guard = createRateGuard({ perSecond: 1000, burst: 1000, guessesPerMinute: 1000 }, undefined);
  const before = heldBytes();
  // What is guessed is remembered for a minute, which is longer than this takes.
  for (let number = 0; number < 500_000; number += 1) {
    const client = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
    await guard.guess(client);
    await guard.ofAddress(client);
    if (number % 1000 === 0) await setImmediate();
  }
  const held = (heldBytes() - before) / 2 ** 20;
  t.true(held < 100, `${Math.round(held)} MiB`);
  t.log(`${Math.round(held)} MiB for half a million addresses`);
});

test('An address counts as itself, and a network of IPv6 as one', (t) => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((number) => number.toString(16));
  fc.assert(
    fc.property(
      fc.array(group, { minLength: 8, maxLength: 8 }),
      fc.array(group, { minLength: 4, maxLength: 4 }),
      (all, rest) => {
        const other = [...all.slice(0, 4), ...rest];
        t.is(clientOf(all.join(':')), clientOf(other.join(':')));
        t.is(
          clientOf(all.join(':')),
          clientOf(
            all
              .map((text) => text.padStart(4, '0'))
              .join(':')
              .toUpperCase(),
          ),
        );
      },
    ),
  );
  t.is(clientOf('::ffff:192.0.2.7'), '192.0.2.7');
  t.is(clientOf('192.0.2.7'), '192.0.2.7');
  t.is(clientOf('::1'), clientOf('0:0:0:0::1'));
  t.is(clientOf('fe80::1%eth0'), clientOf('fe80::2'));
  t.is(clientOf('2001:db8::'), '2001:db8:0:0::/64');
  t.not(clientOf('2001:db8:0:1::1'), clientOf('2001:db8::1'));
  t.is(clientOf(undefined), 'unknown');
});
