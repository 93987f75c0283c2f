import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rename, utimes, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { basic, openTestService, type TestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';
import { as, blobOf, codeOf, left, offsetOf, pathOf, type TusCalls } from './testing.ts';

const BYTES = randomBytes(300_000);
const DATA = { type: 'data', uuid: id(1), sha256: sha256(BYTES) };

test('while one client sends, another is told 423, and the bytes stay right', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  const more = Promise.withResolvers<void>();
  const slowly = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(BYTES.subarray(0, 100_000));
      await more.promise;
      controller.enqueue(BYTES.subarray(100_000));
      controller.close();
    },
  });
  const first = tus.patch(path, 0, slowly);
  while ((await left(service)).length === 0) await pause(2);
  t.is(await codeOf(await tus.patch(path, 0, randomBytes(1000))), 'locked');
  t.is((await tus.patch(path, 0, Buffer.alloc(0))).status, 423);
  t.is((await tus.drop(path)).status, 423);
  more.resolve();
  t.is((await first).status, 204);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
});

/** Sends a part of a chunk and cuts the connection. */
async function cutAfter(service: TestService, path: string, offset: number, bytes: number): Promise<void> {
  const { port } = new URL(service.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  const head = [
    `PATCH ${path} HTTP/1.1`,
    'host: 127.0.0.1',
    `authorization: ${basic('uploader')}`,
    'tus-resumable: 1.0.0',
    `upload-offset: ${offset}`,
    'content-type: application/offset+octet-stream',
    `content-length: ${BYTES.length - offset}`,
  ].join('\r\n');
  socket.write(`${head}\r\n\r\n`);
  await new Promise<void>((resolve) => socket.write(BYTES.subarray(offset, offset + bytes), () => resolve()));
  socket.end();
  await once(socket.resume(), 'close');
}

/** Waits until the upload is at this offset, and nobody is at work on it any more. */
async function settlesAt(t: ExecutionContext, tus: TusCalls, path: string, offset: number): Promise<void> {
  await eventually(t, async (t) => {
    t.is(offsetOf(await tus.head(path)), offset);
    t.is((await tus.patch(path, offset, Buffer.alloc(0))).status, 204);
  });
}

test('what came before a cut counts, wherever the cut is', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  let offset = 0;
  for (const bytes of [1, 65_535, 65_537, 12_345, 80_000]) {
    await cutAfter(service, path, offset, bytes);
    offset += bytes;
    await settlesAt(t, tus, path, offset);
  }
  t.is((await tus.patch(path, offset, BYTES.subarray(offset))).status, 204);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
});

test('an upload whose file lost bytes goes on from what is there', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  await tus.patch(path, 0, BYTES.subarray(0, 200_000));
  const [file = ''] = await left(service);
  await writeFile(join(service.folder, 'uploads', file), BYTES.subarray(0, 70_000));
  t.is(offsetOf(await tus.head(path)), 70_000);
  t.is((await tus.patch(path, 70_000, BYTES.subarray(70_000))).status, 204);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
});

test('uploads that nobody ends in time are thrown away with their bytes', async (t) => {
  await using service = await openTestService({ settings: { uploadExpiryMs: 1, orphanGraceMs: 1 } });
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  await tus.patch(path, 0, BYTES.subarray(0, 1000));
  await writeFile(join(service.folder, 'uploads', 'stray'), 'x');
  // The clock of the database has to go on by a millisecond.
  do await service.sweep();
  while ((await tus.head(path)).status !== 404 || (await left(service)).length > 0);
  t.deepEqual(await left(service), []);
});

test('a sweep leaves alone what somebody may still end', async (t) => {
  await using service = await openTestService({ settings: { orphanGraceMs: 1 } });
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  await tus.patch(path, 0, BYTES.subarray(0, 1000));
  const [file = ''] = await left(service);
  await utimes(join(service.folder, 'uploads', file), new Date(0), new Date(0));
  await service.sweep();
  t.is(offsetOf(await tus.head(path)), 1000);
  t.is((await tus.patch(path, 1000, BYTES.subarray(1000))).status, 204);
});

test('an end that fails by our fault is made up for when the offset is asked for', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  const [staging, away] = [join(service.folder, 'staging'), join(service.folder, 'away')];
  await rename(staging, away);
  t.is((await tus.patch(path, 0, BYTES)).status, 503);
  t.is((await tus.head(path)).status, 503);
  t.is((await service.call('admin', `/data/${id(1)}`)).status, 404);
  await rename(away, staging);
  t.is(offsetOf(await tus.head(path)), BYTES.length);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
  t.deepEqual(await left(service), []);
});
