import { once } from 'node:events';
import test from 'ava';
import { createMetrics } from '../../metrics/index.ts';
import { eventually } from '../../testing/index.ts';
import { credentials } from '../access/credentials.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService, type SmallOptions } from '../testing/small-service.ts';
import { basic } from '../testing/talk.ts';
import { until } from '../testing/until.ts';

const authenticate = credentials(
  ['ann', 'bob'].map((name) => ({ name, roles: ['reader'], secretHash: cheapHash('s') })),
);

/** Streams of events, and of bytes, that say one thing and then nothing until their client goes. */
function idle(cancelled: { count: number }): NonNullable<SmallOptions['api']> {
  return {
    watch: async (_input, call) =>
      (async function* () {
        yield { id: '1', event: 'x', data: { n: 1 } };
        if (call?.signal !== undefined) await once(call.signal, 'abort');
      })(),
    follow: async () => ({
      status: 200,
      headers: { 'content-type': 'text/plain' },
      body: new ReadableStream<Uint8Array>({ cancel: () => void cancelled.count++ }),
    }),
  };
}

test('A caller has so many live streams at once, and the next when one has ended', async (t) => {
  const cancelled = { count: 0 };
  const metrics = createMetrics();
  await using service = await openSmallService({
    ...{ authenticate, metrics, api: idle(cancelled) },
    streamLimits: { perCaller: 2, inAll: 0 },
  });
  const open = async (name: string) => {
    const gone = new AbortController();
    const url = `${service.url}/v1/things/a/events`;
    const response = await fetch(url, { headers: basic(name, 's'), signal: gone.signal });
    return { response, gone };
  };
  const shown = async (line: RegExp) => line.exec(await (await fetch(`${service.url}/metrics`)).text())?.[1];
  const first = await open('ann');
  await open('ann');
  const { response: third } = await open('ann');
  t.is(third.status, 429);
  t.is(third.headers.get('retry-after'), '10');
  t.like(await third.json(), {
    code: 'rate_limited',
    detail: 'You have 2 live streams open, and may have no more: close one first.',
  });
  t.is((await open('bob')).response.status, 200);
  t.is(await shown(/^http_live_streams (\d+)$/m), '3');
  t.is(await shown(/^http_live_streams_refused_total\{limit="caller"\} (\d+)$/m), '1');
  first.gone.abort();
  await eventually(t, async (t) => t.is((await open('ann')).response.status, 200));
  await service.drain();
  t.pass();
});

test('Callers without credentials are told apart by their address, and all streams together have a bound', async (t) => {
  const cancelled = { count: 0 };
  const api = idle(cancelled);
  await using one = await openSmallService({ api, streamLimits: { perCaller: 1, inAll: 0 } });
  await using all = await openSmallService({ api, authenticate, streamLimits: { perCaller: 0, inAll: 1 } });
  const follow = async (url: string) => await fetch(`${url}/v1/things/a/log`);
  t.is((await follow(one.url)).status, 200);
  t.is((await follow(one.url)).status, 429);
  t.is((await follow(all.url)).status, 200);
  const events = await fetch(`${all.url}/v1/things/a/events`, { headers: basic('ann', 's') });
  t.is(events.status, 429);
  t.like(await events.json(), {
    detail: 'The service has 1 live streams open, and takes no more: try again later.',
  });
  // What nobody will read is let go of.
  await until(() => cancelled.count === 1);
  t.pass();
});

test('Answers that end by themselves are no live streams', async (t) => {
  await using service = await openSmallService({ streamLimits: { perCaller: 1, inAll: 1 } });
  for (let n = 0; n < 5; n++) t.is(await (await fetch(`${service.url}/data/abc`)).text(), 'abc');
  for (let n = 0; n < 5; n++) {
    t.regex(await (await fetch(`${service.url}/v1/things/a/events`)).text(), /event: end/);
  }
});
