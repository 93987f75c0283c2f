import { randomBytes, randomUUID } from 'node:crypto';
import { computeClient } from '@morpheo/client';
import type { CallRequest } from '@morpheo/common';
import { freePorts, mainOf, ServiceProcess, withParts } from '@morpheo/real-parts';
import { sharedPostgres } from '@morpheo/service/database/testing';
import { instanceSigner, instanceVerifier, ticketKeysOf, ticketSigner } from '@morpheo/service/http';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { CallWorker, type CallWorkerOptions, echo } from '../testing/call-worker.ts';
import { ADMIN, openTestService } from '../testing/open-test-service.ts';
import { CALL_DEFAULTS } from './settings.ts';

const test = withParts(ava, 'postgres');
const postgres = sharedPostgres(ava);
const keys = ticketKeysOf(randomBytes(32).toString('base64'), 'here');

const IMAGE = `registry.example/tool:1@sha256:${'0123456789abcdef'.repeat(4)}`;
const BODY: CallRequest = {
  image: IMAGE,
  inputs: [{ path: '/in/text', inline: Buffer.from('hello').toString('base64') }],
};
const HEADERS = {};

/** Two compute-apis over HTTP on one database, each of which knows where the other is. */
async function openTwo() {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await (await postgres()).createDatabase());
  const open = async (port: number) => {
    const advertiseUrl = `http://127.0.0.1:${port}`;
    const calls = { ...CALL_DEFAULTS, silentMs: 60_000, goneMs: 60_000, everyMs: 20, advertiseUrl };
    const service = stack.use(
      await openTestService(false, {
        port,
        database: { engine: 'postgres', address: database, poolSize: 4 },
        settings: { ...COMPUTE_DEFAULTS, calls },
        signTicket: ticketSigner(keys),
        instances: { sign: instanceSigner(keys), verify: instanceVerifier(keys) },
      }),
    );
    const { url } = service;
    return { url, service, api: computeClient({ url, credentials: ADMIN }) };
  };
  const ports = await freePorts(2);
  const [one, other] = [await open(ports[0] ?? 0), await open(ports[1] ?? 0)];
  const opened = stack.move();
  return { one, other, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

type Two = Awaited<ReturnType<typeof openTwo>>;

async function workerAt({ api }: Two['one'], options: CallWorkerOptions = {}): Promise<CallWorker> {
  return await CallWorker.start(api, options);
}

test('A call at one compute-api is answered by a worker that asks at another', async (t) => {
  await using two = await openTwo();
  const { one, other } = two;
  await using worker = await workerAt(other);
  const answers = await Promise.all(
    Array.from({ length: 30 }, async (_, n) => {
      const inline = Buffer.from(`text ${n}`).toString('base64');
      const body = { ...BODY, inputs: [{ path: '/in/text', inline }] };
      const answer = await one.api.postCall({ headers: HEADERS, body });
      return 'uuid' in answer ? t.fail() : answer.outputs[0]?.data === inline;
    }),
  );
  t.true(answers.every(Boolean));
  t.is(worker.given.length, 30, 'each once');
  t.is(new Set(worker.given.map(({ key }) => key)).size, 1);
});

test('A worker that asks here and there, as behind what spreads requests, gets and answers the calls of both', async (t) => {
  await using two = await openTwo();
  const { one, other } = two;
  await using worker = await workerAt(one);
  let n = 0;
  worker.api = {
    ...one.api,
    exchangeCalls: async (...given) => await (n++ % 2 === 0 ? one : other).api.exchangeCalls(...given),
  };
  await Promise.all(
    [one, other, one, other, one, other].map(async ({ api }) => {
      for (let call = 0; call < 3; call++) await api.postCall({ headers: HEADERS, body: BODY });
    }),
  );
  t.is(worker.given.length, 18);
});

test('A caller that goes away from one compute-api ends its call at a worker of another', async (t) => {
  await using two = await openTwo();
  await using worker = await workerAt(two.other, { answer: () => undefined });
  const caller = new AbortController();
  const answer = two.one.api.postCall({ headers: HEADERS, body: BODY }, { signal: caller.signal });
  answer.catch(() => undefined);
  await eventually(t, (t) => t.is(worker.given.length, 1));
  caller.abort();
  await t.throwsAsync(answer);
  await eventually(t, (t) => t.deepEqual(worker.cancelled, [worker.given[0]?.call]));
});

test('Where the compute-api ends at which a caller waits, the call fails and its worker is told to stop', async (t) => {
  await using two = await openTwo();
  const { one, other } = two;
  await using worker = await workerAt(other, { answer: () => undefined });
  const first = one.api.postCall({ headers: HEADERS, body: BODY });
  first.catch(() => undefined);
  await eventually(t, (t) => t.is(worker.given.length, 1));
  await one.service[Symbol.asyncDispose]();
  await t.throwsAsync(first, { code: 'unavailable' });
  await eventually(t, (t) => t.deepEqual(worker.cancelled, [worker.given[0]?.call]));
});

test('A call fails in bounded time whose worker asked at a compute-api that is killed; the next one goes well', async (t) => {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await (await postgres()).createDatabase());
  const [herePort = 0, therePort = 0] = await freePorts(2);
  const [hereUrl, thereUrl] = [herePort, therePort].map((port) => `http://127.0.0.1:${port}`) as [
    string,
    string,
  ];
  const there = stack.use(
    new ServiceProcess({
      main: mainOf('compute-api'),
      flags: {
        ...{ 'db-url': database.url, port: therePort, 'advertise-url': thereUrl, 'insecure-open': '' },
        ...{
          storage: 'http://127.0.0.1:9',
          'storage-user': 'u',
          'storage-password': 'p',
          'log-level': 'error',
        },
      },
      ready: `${thereUrl}/health`,
      output: 'show',
    }),
  );
  await there.start();
  const calls = { ...CALL_DEFAULTS, silentMs: 3000, goneMs: 1000, advertiseUrl: hereUrl };
  stack.use(
    await openTestService(false, {
      ...{ port: herePort, callers: null, settings: { ...COMPUTE_DEFAULTS, calls } },
      database: { engine: 'postgres', address: database, poolSize: 4 },
    }),
  );
  const here = computeClient({ url: hereUrl });
  let isKilled: boolean = false;
  const worker = stack.use(
    await CallWorker.start(computeClient({ url: thereUrl }), {
      answer: (given) => (isKilled ? echo(given) : undefined),
    }),
  );
  const answer = here.postCall({ headers: HEADERS, body: BODY });
  answer.catch(() => undefined);
  await eventually(t, (t) => t.is(worker.given.length, 1));
  await there.kill();
  isKilled = true;
  await t.throwsAsync(answer, { code: 'unavailable', message: /not heard of any more/ });
  worker.api = here;
  t.like(await here.postCall({ headers: HEADERS, body: BODY }), { reused: 0 });
  t.is(worker.given.length, 2);
});

test('A worker whose compute-api died brings its answers to the other', async (t) => {
  await using two = await openTwo();
  const { one, other } = two;
  await using worker = await workerAt(other, { answer: () => undefined });
  const answer = one.api.postCall({ headers: HEADERS, body: BODY });
  await eventually(t, (t) => t.is(worker.given.length, 1));
  await other.service[Symbol.asyncDispose]();
  worker.api = one.api;
  const [given] = worker.given;
  if (given === undefined) return t.fail();
  worker.finish(echo(given));
  t.like(await answer, { call: given.call });
});

test('Runners are shown, and started again, by either compute-api', async (t) => {
  await using two = await openTwo();
  const runner = {
    ...({ key: 'a'.repeat(64), state: 'broken', protocol: 'runner', owner: 'ann', image: IMAGE } as const),
    ...{ gpus: 0, age_seconds: 5, calls: 7, waiting: 0 },
  };
  await using worker = await workerAt(two.other, { runners: [runner] });
  await eventually(t, async (t) => t.is((await two.one.api.listRunners({})).items.length, 1));
  await two.one.api.retryRunner({ params: { key: runner.key } });
  await eventually(t, (t) => t.deepEqual(worker.retries, [runner.key]));
});

test('Only compute-apis tell one another of workers, by what they sign', async (t) => {
  await using two = await openTwo();
  const { url } = two.one;
  const body = {
    ...{ worker: randomUUID(), boot: randomUUID(), seq: 0, offers: [], demands: [], gpus: 0, room: 0 },
    ...{ ready: [], holds: [], done: [], wait_ms: 0 },
  };
  const ask = (token: string | undefined) => computeClient({ url, token: () => token }).relayCalls({ body });
  await t.throwsAsync(ask(undefined), { code: 'unauthenticated' });
  const { order, pin, produces } = {
    ...{ order: randomUUID(), pin: 'a'.repeat(64) },
    produces: { type: 'model', uuid: randomUUID() } as const,
  };
  const ticket = await ticketSigner(keys)(
    { order, attempt: 1, pin, produces },
    new Date(Date.now() + 60_000),
  );
  await t.throwsAsync(ask(ticket), { code: 'unauthenticated' }, 'a ticket of an attempt');
  const strange = instanceSigner(ticketKeysOf(randomBytes(32).toString('base64'), 'there'));
  await t.throwsAsync(ask(await strange()), { code: 'unauthenticated' });
  t.deepEqual(await ask(await instanceSigner(keys)()), { calls: [], cancelled: [], retry: [] });
  const sign = await instanceSigner(keys)();
  await t.throwsAsync(computeClient({ url, token: () => sign }).listOwners({ query: {} }), {
    code: 'forbidden',
  });
});
