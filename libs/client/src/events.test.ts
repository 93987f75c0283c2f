import { isPlatformError, PlatformError, type ServerEvent } from '@morpheo/common';
import test from 'ava';
import { createClient } from './client.ts';
import { resumeEvents } from './resume.ts';
import { contract } from './testing/contract.ts';
import { openPeer } from './testing/peer.ts';

const one = { params: { id: '1' }, headers: {} };
const NOW = { first: 1, most: 2 };
const line = (n: number) => `id: ${n}\nevent: counted\ndata: {"n":${n}}\n\n`;
const END = 'event: end\ndata: {}\n\n';

async function collect<T>(events: AsyncIterable<ServerEvent<T>>): Promise<ServerEvent<T>[]> {
  return await Array.fromAsync(events);
}

test('Events come with id, name and data until the end is told', async (t) => {
  await using peer = await openPeer((response) =>
    response.end(`: hello\n\n${line(1)}${line(2)}${END}${line(3)}`),
  );
  const client = createClient(contract, { url: peer.url });
  const events = await client.watch({ ...one, headers: { 'last-event-id': '0' } });
  t.deepEqual(await collect(events), [
    { id: '1', event: 'counted', data: { n: 1 } },
    { id: '2', event: 'counted', data: { n: 2 } },
  ]);
  t.like(peer.seen[0]?.headers, { 'last-event-id': '0' });
  t.regex(peer.seen[0]?.headers.accept ?? '', /^text\/event-stream/);
});

test('A stream that closes without its end was cut', async (t) => {
  await using peer = await openPeer((response) => response.end(line(1)));
  const client = createClient(contract, { url: peer.url });
  await t.throwsAsync(async () => await collect(await client.watch(one)), {
    code: 'unavailable',
    message: /was cut/,
  });
});

test('An event that does not fit its schema is a fault', async (t) => {
  await using peer = await openPeer((response) => response.end('data: {"n":"x"}\n\n'));
  const client = createClient(contract, { url: peer.url });
  await t.throwsAsync(async () => await collect(await client.watch(one)), { code: 'internal' });
});

test('Stopping early closes the connection', async (t) => {
  const closed = Promise.withResolvers<void>();
  await using peer = await openPeer((response) => {
    response.on('close', () => closed.resolve());
    response.write(line(1));
  });
  for await (const _event of await createClient(contract, { url: peer.url }).watch(one)) break;
  await closed.promise;
  t.pass();
});

test('A cut stream goes on after the last event that came', async (t) => {
  const asked: (string | undefined)[] = [];
  await using peer = await openPeer((response, request) => {
    const last = request.headers['last-event-id'];
    asked.push(typeof last === 'string' ? last : undefined);
    if (asked.length === 1) response.write(line(1) + line(2), () => response.destroy());
    else if (asked.length === 2) response.writeHead(503).end();
    else if (asked.length === 3) response.end(line(3));
    else response.end(line(4) + END);
  });
  const client = createClient(contract, { url: peer.url });
  const open = async (last: string | undefined, signal: AbortSignal | undefined) =>
    await client.watch({ params: { id: '1' }, headers: { 'last-event-id': last } }, { signal });
  const events = await collect(resumeEvents({ open, pauseMs: NOW }));
  t.deepEqual(
    events.map(({ id }) => id),
    ['1', '2', '3', '4'],
  );
  t.deepEqual(asked, [undefined, '2', '2', '3']);
});

test('What no later try can mend ends the stream', async (t) => {
  let tries = 0;
  const open = async () => {
    tries++;
    throw new PlatformError('not_found', 'No such order.');
  };
  await t.throwsAsync(async () => await collect(resumeEvents({ open, pauseMs: NOW })), { code: 'not_found' });
  t.is(tries, 1);
});

test('An abort ends the pause between tries with its reason', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const open = async () => {
    queueMicrotask(() => setImmediate(() => controller.abort(reason)));
    throw new PlatformError('unavailable', 'Away.');
  };
  const options = { open, signal: controller.signal, pauseMs: { first: 1_000_000, most: 1_000_000 } };
  t.is(await t.throwsAsync(async () => await collect(resumeEvents(options))), reason);
});

test('A refusal of the stream is an error of the call', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(404).end('{"code":"not_found"}'));
  const error: unknown = await createClient(contract, { url: peer.url })
    .watch(one)
    .catch((thrown: unknown) => thrown);
  t.true(isPlatformError(error, 'not_found'));
});
