import { once } from 'node:events';
import { get } from 'node:http';
import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { until } from '../testing/until.ts';

/** A route of bytes whose stream reads into the memory that it is given. */
const blobOf = (source: UnderlyingByteSource, length: number) => async () => ({
  status: 200,
  headers: { 'content-length': String(length) },
  body: new ReadableStream(source),
});

/** Fills what it is given with bytes that count up from `at`, `most` of them at the most; returns how many. */
function fill(controller: ReadableByteStreamController, at: number, most: number): number {
  const view = controller.byobRequest?.view;
  if (!(view instanceof Uint8Array)) throw new TypeError('a reader with its own memory was expected');
  const count = Math.min(view.byteLength, most);
  for (let index = 0; index < count; index++) view[index] = (at + index) % 251;
  controller.byobRequest?.respond(count);
  return count;
}

test('Bytes that are read into memory come whole and in order', async (t) => {
  const length = 3_000_001;
  let at = 0;
  const pull = (controller: ReadableByteStreamController) => {
    at += fill(controller, at, Math.min(100_000, length - at));
    if (at === length) controller.close();
  };
  await using service = await openSmallService({ api: { blob: blobOf({ type: 'bytes', pull }, length) } });
  const bytes = new Uint8Array(await (await fetch(`${service.url}/data/x`)).arrayBuffer());
  t.is(bytes.length, length);
  t.is(
    bytes.findIndex((byte, index) => byte !== index % 251),
    -1,
  );
});

test('Bytes read into memory that fail in the middle cut the connection', async (t) => {
  let calls = 0;
  const pull = (controller: ReadableByteStreamController) => {
    if (calls++ > 0) throw new Error('disk');
    fill(controller, 0, 3);
  };
  await using service = await openSmallService({ api: { blob: blobOf({ type: 'bytes', pull }, 9) } });
  await t.throwsAsync(async () => await (await fetch(`${service.url}/data/x`)).arrayBuffer());
  await until(() => service.log.entries.some(({ level }) => level === 'error'));
  t.regex(JSON.stringify(service.log.entries), /disk/);
});

test('A client that goes away cancels a stream that has stalled', async (t) => {
  const cancelled = Promise.withResolvers<void>();
  let calls = 0;
  const pull = (controller: ReadableByteStreamController) => {
    if (calls++ === 0) fill(controller, 0, 3);
    else return cancelled.promise;
  };
  const blob = blobOf({ type: 'bytes', pull, cancel: () => cancelled.resolve() }, 9);
  await using service = await openSmallService({ api: { blob } });
  const [response] = await once(get(`${service.url}/data/x`, { agent: false }), 'response');
  await once(response, 'data');
  response.destroy();
  await cancelled.promise;
  await until(() => service.log.entries.some(({ message }) => message === 'The client gave up'));
  t.false(service.log.entries.some(({ level }) => level === 'error'));
});
