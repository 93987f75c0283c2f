import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { createClient, resumeEvents } from '@morpheo/client';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { freePort } from '@morpheo/real-parts';
import test from 'ava';
import { credentials } from '../access/credentials.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService, type SmallOptions, smallContract } from '../testing/small-service.ts';
import { until } from '../testing/until.ts';

/** The client of the same contract that the service serves, on both sides of a real connection. */
async function open(options: SmallOptions = {}) {
  const authenticate = credentials([{ name: 'ann', roles: ['admin'], secretHash: cheapHash('secret') }]);
  const service = await openSmallService({ authenticate, ...options });
  const client = createClient(smallContract, {
    url: service.url,
    credentials: { name: 'ann', secret: 'secret' },
  });
  return { service, client, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}

const one = { params: { id: 'a:b ü%2F' } };

test('JSON goes through unchanged, parameters included', async (t) => {
  await using pair = await open();
  const input = { ...one, query: { limit: 3 }, headers: { 'if-match': '"1"' }, body: { name: 'ü', size: 1 } };
  t.deepEqual(await pair.client.change(input), { id: 'a:b ü%2F', name: 'ü', limit: 3, match: '"1"' });
  t.deepEqual(await pair.client.index({}), ['/']);
  t.is(await pair.client.drop(one), undefined);
});

test('An order of the originals goes through', async (t) => {
  await using pair = await open();
  const order = { uuid: '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11', rank: 2 };
  t.deepEqual(await pair.client.order({ body: order }), order);
});

async function* pieces(count: number, size: number) {
  for (let at = 0; at < count; at++) yield new Uint8Array(size).fill(at);
}

test('Bytes go through in both directions', async (t) => {
  await using pair = await open();
  const params = { type: 'data' } as const;
  const sent = { body: pieces(100, 10_000), contentType: 'x/y', contentLength: 1_000_000 };
  t.deepEqual(await pair.client.upload({ params, body: sent }), {
    size: 1_000_000,
    type: 'x/y',
    length: 1_000_000,
  });
  const got = await pair.client.blob({ params: { ...params, id: 'abc' } });
  t.is(got.headers['content-length'], '3');
  t.is(await new Response(got.body ?? null).text(), 'abc');
  t.is((await pair.client.headBlob({ params: { ...params, id: 'abc' } })).headers['content-length'], '3');
});

test('Events go through until the service ends them', async (t) => {
  await using pair = await open();
  const events = await Array.fromAsync(
    await pair.client.watch({ ...one, headers: { 'last-event-id': '1' } }),
  );
  t.deepEqual(
    events.map(({ id, data }) => [id, data.n]),
    [
      ['2', 2],
      ['3', 3],
    ],
  );
});

test('Errors keep code, text and details', async (t) => {
  const refusal = new PlatformError('in_use', 'A model needs it.', { details: { by: ['m'] } });
  await using pair = await open({ api: { drop: () => Promise.reject(refusal) } });
  await t.throwsAsync(pair.client.drop(one), { code: 'in_use', message: 'A model needs it.' });
  const error: unknown = await pair.client.drop(one).catch((thrown: unknown) => thrown);
  t.deepEqual(isPlatformError(error) ? error.details : undefined, { by: ['m'] });
});

test('A large upload that is refused early gets its refusal', async (t) => {
  await using pair = await open({
    api: { upload: () => Promise.reject(new PlatformError('too_large', 'No.')) },
  });
  for (const contentLength of [undefined, 20_000_000]) {
    const body = { body: pieces(200, 100_000), contentLength };
    await t.throwsAsync(pair.client.upload({ params: { type: 'data' }, body }), { code: 'too_large' });
  }
  const blob = new Blob(['x'.repeat(20_000_000)]);
  const call = pair.client.upload({ params: { type: 'data' }, body: { body: pieces(1, 1), blob } });
  await t.throwsAsync(call, { code: 'too_large' });
});

test('A client that aborts stops the handler', async (t) => {
  const started = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<unknown>();
  await using pair = await open({
    api: {
      drop: async (_input, call) => {
        started.resolve();
        if (call?.signal !== undefined) await once(call.signal, 'abort');
        stopped.resolve(call?.signal?.reason);
        throw call?.signal?.reason;
      },
    },
  });
  const controller = new AbortController();
  const call = t.throwsAsync(pair.client.drop(one, { signal: controller.signal }), { message: 'enough' });
  await started.promise;
  controller.abort(new Error('enough'));
  await call;
  t.true(isPlatformError(await stopped.promise, 'cancelled'));
});

test('A handler hears whether its answer left whole, or its connection broke before', async (t) => {
  const heard: (Promise<'whole' | 'cut'> | undefined)[] = [];
  const started = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using pair = await open({
    api: {
      index: async (_input, call) => {
        heard.push(call?.sent);
        return ['/'];
      },
      drop: async (_input, call) => {
        heard.push(call?.sent);
        call?.signal?.addEventListener('abort', () => gone.resolve());
        started.resolve();
        await gone.promise;
        return undefined;
      },
    },
  });
  await pair.client.index({});
  const controller = new AbortController();
  const call = t.throwsAsync(pair.client.drop(one, { signal: controller.signal }));
  await started.promise;
  controller.abort();
  await call;
  t.deepEqual(await Promise.all(heard), ['whole', 'cut']);
});

test('A handler that Node aborts for its client is no failure', async (t) => {
  const started = Promise.withResolvers<void>();
  const drop = async (_input: unknown, call?: { signal?: AbortSignal | undefined }) => {
    started.resolve();
    return await setTimeout(1_000_000, undefined, call?.signal === undefined ? {} : { signal: call.signal });
  };
  await using pair = await open({ api: { drop } });
  const controller = new AbortController();
  const call = t.throwsAsync(pair.client.drop(one, { signal: controller.signal }));
  await started.promise;
  controller.abort();
  await call;
  await until(() => pair.service.log.entries.length > 1);
  t.deepEqual(
    pair.service.log.entries.filter(({ level }) => level !== 'debug').map(({ message }) => message),
    ['Listening'],
  );
});

test('A stream of events outlives a restart of its service', async (t) => {
  let restarted = false;
  const api: SmallOptions['api'] = {
    watch: async ({ headers }, call) =>
      (async function* () {
        const last = Number(headers['last-event-id'] ?? 0);
        for (let n = last + 1; n <= 4; n++) {
          yield { id: String(n), event: 'counted', data: { n } };
          if (n === 2 && !restarted && call?.signal !== undefined) return await once(call.signal, 'abort');
        }
        return undefined;
      })(),
  };
  const port = await freePort();
  const first = await open({ api, port });
  const watch = async (last: string | undefined, signal: AbortSignal | undefined) =>
    await first.client.watch({ ...one, headers: { 'last-event-id': last } }, { signal });
  const seen: string[] = [];
  let second: Awaited<ReturnType<typeof open>> | undefined;
  for await (const { id } of resumeEvents({ open: watch, pauseMs: { first: 5, most: 20 } })) {
    seen.push(id);
    if (id !== '2') continue;
    restarted = true;
    await first.service.drain();
    second = await open({ api, port });
  }
  t.deepEqual(seen, ['1', '2', '3', '4']);
  await second?.[Symbol.asyncDispose]();
});
