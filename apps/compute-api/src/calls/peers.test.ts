import { randomUUID } from 'node:crypto';
import { type CallAnswer, type CallsExchanged, MOST_IN_CALL, PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { echo } from '../testing/call-worker.ts';
import { CallDesk } from './desk.ts';
import { Instances } from './instances.ts';
import type { AskedCall } from './open-call.ts';
import { CALL_DEFAULTS } from './settings.ts';

const KEY = 'a'.repeat(64);
const ASKED: AskedCall = {
  given: { key: KEY, spec: { warm: 'runner', inputs: [{ path: '/in/a', inline: 'AAAA' }] }, gpus: 0 },
  ...{ owner: 'ann', terms: [], bytes: 10, waitMs: 60_000, runMs: 60_000 },
};

/** Desks that hear one another's notes, but for those that are lost, and reach one another, but for those that are cut. */
class Town implements Disposable {
  readonly cut = new Set<string>();
  isLost: (note: string) => boolean = () => false;
  readonly #desks = new Map<string, CallDesk>();
  readonly #heard = new Set<(text: string) => void>();
  readonly #instances: Instances[] = [];

  open(url: string): CallDesk {
    const settings = { ...CALL_DEFAULTS, silentMs: 200, goneMs: 100, everyMs: 10, advertiseUrl: url };
    const desk = new CallDesk({ settings, refusal: async () => undefined });
    this.#desks.set(url, desk);
    const notify = (_: string, text: string): void => {
      if (this.cut.has(url) || this.isLost(text)) return;
      setImmediate(() => {
        for (const hear of this.#heard) hear(text);
      });
    };
    const listen = (_: string, hear: (text: string, origin: 'elsewhere') => void) => {
      const heard = (text: string) => hear(text, 'elsewhere');
      this.#heard.add(heard);
      return { [Symbol.dispose]: () => void this.#heard.delete(heard) };
    };
    const reach = (to: string) => ({
      relayCalls: async ({ body }: { body: Parameters<CallDesk['relayed']>[1] & StationBody }) => {
        const other = this.#desks.get(to);
        if (other === undefined || this.cut.has(to) || this.cut.has(url))
          throw new PlatformError('unavailable', `${to} is away.`);
        const size = JSON.stringify(body).length;
        if (size > MOST_IN_CALL.exchangeBytes) throw new PlatformError('too_large', `It has ${size} bytes.`);
        return await other.relayed(body, body);
      },
    });
    const instances = new Instances({ desk, database: { notify, listen }, settings, reach, log: silentLog });
    this.#instances.push(instances);
    desk.peers = instances;
    return desk;
  }

  [Symbol.dispose](): void {
    for (const instances of this.#instances) instances[Symbol.dispose]();
    for (const desk of this.#desks.values()) desk.close();
  }
}

type StationBody = Parameters<CallDesk['relayed']>[0];

/** A worker that asks by hand. */
function workerOf() {
  const identity = { worker: randomUUID(), boot: randomUUID(), offers: [], demands: [], gpus: 0 };
  let seq = 0;
  return async (
    desk: CallDesk,
    body: Partial<Parameters<CallDesk['exchange']>[1]> = {},
  ): Promise<CallsExchanged> =>
    await desk.exchange(identity, {
      ...{ boot: identity.boot, seq: seq++, room: 1, ready: [], holds: [], done: [], wait_ms: 10_000 },
      ...body,
    });
}

/** Has a call of one desk given to a worker that asks at the other. */
async function given(one: CallDesk, other: CallDesk) {
  const ask = workerOf();
  const calls = ask(other);
  const caller = new AbortController();
  const answer: Promise<CallAnswer> = one.call(ASKED, caller.signal);
  answer.catch(() => undefined);
  const [call] = (await calls).calls;
  if (call === undefined) throw new Error('It was given no call');
  return { ask, answer, call };
}

test('That a note is lost delays a call, and no more', async (t) => {
  using town = new Town();
  const [one, other] = [town.open('one'), town.open('other')];
  let n = 0;
  town.isLost = () => n++ % 3 !== 0;
  const { ask, answer, call } = await given(one, other);
  const next = ask(other, { done: [echo(call)] });
  t.like(await answer, { call: call.call, outputs: [{ data: 'AAAA' }] });
  other.close();
  await next;
});

test('The calls of a desk that dies are stopped at a worker that asks elsewhere', async (t) => {
  using town = new Town();
  const [one, other] = [town.open('one'), town.open('other')];
  const { ask, call } = await given(one, other);
  town.cut.add('one');
  await eventually(t, async (t) => {
    const { cancelled } = await ask(other, { holds: [call.call], wait_ms: 10 });
    t.deepEqual(cancelled, [call.call]);
  });
});

test('A call fails in bounded time where the desk dies at which its worker asks', async (t) => {
  using town = new Town();
  const [one, other] = [town.open('one'), town.open('other')];
  const { answer } = await given(one, other);
  town.cut.add('other');
  await t.throwsAsync(answer, { code: 'unavailable', message: /not heard of any more/ });
});

test('Answers that are too long together reach the desk of their callers one after the other', async (t) => {
  using town = new Town();
  const [one, other] = [town.open('one'), town.open('other')];
  const ask = workerOf();
  const answers = [1, 2, 3, 4].map(async () => await one.call(ASKED));
  const given: CallsExchanged['calls'] = [];
  await eventually(t, async (t) => {
    const { calls } = await ask(other, { room: 4, holds: given.map(({ call }) => call), wait_ms: 10 });
    given.push(...calls);
    t.is(given.length, 4);
  });
  const data = 'A'.repeat(MOST_IN_CALL.outputBytes * (4 / 3));
  const done = given.map((call) => ({ ...echo(call), outputs: [{ name: 'answer', data }] }));
  await ask(other, { done, wait_ms: 0 });
  for (const { outputs } of await Promise.all(answers)) t.is(outputs[0]?.data.length, data.length);
});

test('A call of a desk that nobody knows yet is kept for a while', async (t) => {
  using town = new Town();
  const desk = town.open('one');
  const stranger = `${'0'.repeat(12)}-${'1'.repeat(20)}`;
  const { cancelled } = await workerOf()(desk, { holds: [stranger], wait_ms: 0 });
  t.deepEqual(cancelled, []);
});

test('A call of a desk that nobody knows ends after a while, however many there were before', async (t) => {
  using town = new Town();
  const { peers } = town.open('one');
  const stranger = (n: number) => `${'0'.repeat(12)}-${String(n).padStart(20, '0')}`;
  for (let n = 0; n < 10_000; n += 1) peers?.knows(stranger(n), 0);
  t.true(peers?.knows(stranger(10_000), 1));
  t.false(peers?.knows(stranger(10_000), 20_000));
});
