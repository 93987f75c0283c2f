import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { until } from '../testing/until.ts';

/** Opens a connection and resolves to the answer when its headers have come. */
async function open(url: string): Promise<IncomingMessage> {
  const [response] = await once(get(url, { agent: false }), 'response');
  return response;
}

test('Events are written as the standard has them, and their end is told', async (t) => {
  await using service = await openSmallService();
  const response = await fetch(`${service.url}/v1/things/a/events`, { headers: { 'last-event-id': '1' } });
  t.is(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  t.is(response.headers.get('cache-control'), 'no-store');
  t.is(
    await response.text(),
    'retry: 1000\n\n' +
      'id: 2\nevent: counted\ndata: {"n":2}\n\n' +
      'id: 3\nevent: counted\ndata: {"n":3}\n\n' +
      'event: end\ndata: {}\n\n',
  );
});

test('An event cannot break out of its lines', async (t) => {
  const watch = async () =>
    (async function* () {
      yield { id: '1\ndata: x', event: 'a\r\n\r\nb', data: { n: 1 } };
    })();
  await using service = await openSmallService({ api: { watch } });
  const text = await (await fetch(`${service.url}/v1/things/a/events`)).text();
  t.true(text.includes('id: 1 data: x\nevent: a    b\ndata: {"n":1}\n\n'));
});

test('A stream of events that waits says that it lives', async (t) => {
  const watch = async (_input: unknown, call?: { signal?: AbortSignal | undefined }) =>
    (async function* () {
      if (call?.signal !== undefined) await once(call.signal, 'abort');
      yield* [];
    })();
  await using service = await openSmallService({ api: { watch }, limits: { heartbeatMs: 20 } });
  const response = await open(`${service.url}/v1/things/a/events`);
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.endsWith(':\n\n:\n\n')) break;
  }
  // More than two, where they came together.
  t.regex(text, /^retry: 1000\n\n(:\n\n){2,}$/);
});

test('A stream of events stops when its client goes', async (t) => {
  const returned = Promise.withResolvers<void>();
  const watch = async () =>
    (async function* () {
      try {
        for (let n = 1; ; n++) {
          yield { id: String(n), event: 'x', data: { n } };
          await setImmediate();
        }
      } finally {
        returned.resolve();
      }
    })();
  await using service = await openSmallService({ api: { watch } });
  const response = await open(`${service.url}/v1/things/a/events`);
  await once(response, 'data');
  response.destroy();
  await returned.promise;
  t.pass();
});

test('A stream of events is no faster than its client', async (t) => {
  let sent = 0;
  const watch = async () =>
    (async function* () {
      for (; ; sent++) yield { id: `${sent}${'x'.repeat(10_000)}`, event: 'x', data: { n: 1 } };
    })();
  await using service = await openSmallService({ api: { watch } });
  const response = await open(`${service.url}/v1/things/a/events`);
  response.pause();
  let before = -1;
  while (before !== sent) {
    before = sent;
    for (let turn = 0; turn < 1000; turn++) await setImmediate();
  }
  t.true(sent < 5000, `${sent} events of 10 kB in memory`);
  response.destroy();
});

test('A stream of events that fails ends without telling an end', async (t) => {
  const watch = async () =>
    (async function* () {
      yield { id: '1', event: 'x', data: { n: 1 } };
      throw new Error('lost');
    })();
  await using service = await openSmallService({ api: { watch } });
  const response = await open(`${service.url}/v1/things/a/events`);
  let text = '';
  const cut = await (async () => {
    for await (const chunk of response) text += String(chunk);
  })().catch((error: unknown) => error);
  t.false(text.includes('event: end'));
  t.true(cut === undefined || cut instanceof Error);
  await until(() => service.log.entries.some(({ level }) => level === 'error'));
  t.regex(JSON.stringify(service.log.entries), /lost/);
});

test('Bytes keep the status and headers that the handler gives', async (t) => {
  const blob = async () => ({
    status: 206,
    headers: { 'content-length': '3', 'content-range': 'bytes 1-3/9', etag: '"x"' },
    body: new Blob(['abc']).stream(),
  });
  await using service = await openSmallService({ api: { blob } });
  const response = await fetch(`${service.url}/data/x`);
  t.is(response.status, 206);
  t.is(response.headers.get('content-range'), 'bytes 1-3/9');
  t.is(await response.text(), 'abc');
});

test('HEAD answers the headers alone, and only where it is named', async (t) => {
  await using service = await openSmallService();
  const response = await fetch(`${service.url}/data/abcdef`, { method: 'HEAD' });
  t.is(response.status, 200);
  t.is(response.headers.get('content-length'), '6');
  t.is(await response.text(), '');
});

test('Bytes that fail in the middle cut the connection', async (t) => {
  const blob = async () => ({
    status: 200,
    headers: { 'content-length': '9' },
    body: new ReadableStream<Uint8Array>({
      pull(controller) {
        if (controller.desiredSize === 0) return;
        controller.enqueue(new Uint8Array(3));
        controller.error(new Error('disk'));
      },
    }),
  });
  await using service = await openSmallService({ api: { blob } });
  await t.throwsAsync(async () => await (await fetch(`${service.url}/data/x`)).arrayBuffer());
  await until(() => service.log.entries.some(({ level }) => level === 'error'));
  t.regex(JSON.stringify(service.log.entries), /disk/);
});

test('A client that goes away cancels the bytes', async (t) => {
  const cancelled = Promise.withResolvers<void>();
  const blob = async () => ({
    status: 200,
    headers: { 'content-length': '1000000000' },
    body: new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
      cancel: () => cancelled.resolve(),
    }),
  });
  await using service = await openSmallService({ api: { blob } });
  const response = await open(`${service.url}/data/x`);
  await once(response, 'data');
  response.destroy();
  await cancelled.promise;
  await until(() => service.log.entries.some(({ message }) => message === 'The client gave up'));
  t.false(service.log.entries.some(({ level }) => level === 'error'));
});
