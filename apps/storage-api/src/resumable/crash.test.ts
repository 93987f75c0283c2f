import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { quickFolder } from '@morpheo/real-parts';
import test, { type ExecutionContext } from 'ava';
import { id, sha256 } from '../testing/requests.ts';
import { type ServiceProcess, spawnService } from '../testing/spawn-service.ts';
import { checksumOf, offsetOf, pathOf, tusCalls } from './testing.ts';

const SIZE = 12 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const PIECE = 64 * 1024;
const KILLS = 12;

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(quickFolder(), 'storage-resume-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

const calls = (service: ServiceProcess) => tusCalls((path, init) => fetch(service.url + path, init));

/** The chunk in pieces; the service is killed before the first one that begins at `killAt` or later. */
function dying(chunk: Buffer, service: ServiceProcess, killAt: number, sent: { bytes: number }) {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (at >= killAt) {
        await service.kill();
        controller.error(new Error('killed'));
        return;
      }
      const piece = chunk.subarray(at, at + PIECE);
      at += piece.length;
      sent.bytes += piece.length;
      if (piece.length === 0) controller.close();
      else controller.enqueue(new Uint8Array(piece));
    },
  });
}

async function requireWhole(t: ExecutionContext, folder: string, service: ServiceProcess, bytes: Buffer) {
  const digest = sha256(bytes);
  const resource = (await (await fetch(`${service.url}/data/${id(1)}`)).json()) as {
    sha256: string;
    size: number;
  };
  t.like(resource, { sha256: digest, size: bytes.length });
  t.is(sha256(await readFile(join(folder, 'blobs', digest.slice(0, 2), digest))), digest);
  t.deepEqual(await readdir(join(folder, 'uploads')), []);
  t.deepEqual(await readdir(join(folder, 'staging')), []);
}

test('an upload goes on after each of many kills, and at most a chunk is sent again', async (t) => {
  t.timeout(300_000);
  const folder = await temporaryFolder(t);
  const bytes = randomBytes(SIZE);
  const sent = { bytes: 0 };
  let service = await spawnService(folder);
  const path = pathOf(
    await calls(service).create(SIZE, { type: 'data', uuid: id(1), sha256: sha256(bytes) }),
  );
  let acknowledged = 0;
  for (let kills = 0; acknowledged < SIZE; ) {
    const offset = offsetOf(await calls(service).head(path));
    t.true(offset >= acknowledged, `${offset} of ${acknowledged} acknowledged bytes are left`);
    // The last chunk had come whole when the service was killed.
    if (offset === SIZE) break;
    const chunk = bytes.subarray(offset, offset + CHUNK);
    const doomed = kills < KILLS && (offset + CHUNK >= SIZE || randomInt(2) === 0);
    const killAt = doomed ? randomInt(chunk.length) : Number.POSITIVE_INFINITY;
    const headers = randomInt(2) === 0 ? checksumOf(chunk) : {};
    const sending = calls(service).patch(path, offset, dying(chunk, service, killAt, sent), { headers });
    const answer = await sending.catch(() => undefined);
    if (answer?.status === 204) acknowledged = offsetOf(answer);
    if (!doomed) continue;
    await service.kill();
    kills++;
    service = await spawnService(folder);
    t.is((await fetch(`${service.url}/data/${id(1)}`)).status, acknowledged < SIZE ? 404 : 200);
  }
  await using last = service;
  await requireWhole(t, folder, last, bytes);
  t.true(sent.bytes <= SIZE + KILLS * CHUNK, `${sent.bytes} bytes were sent`);
  t.log(`${sent.bytes - SIZE} of ${SIZE} bytes were sent again`);
});

/** True from when the last byte has come on, until the thing is there. */
async function isWritten(folder: string, size: number): Promise<boolean> {
  const place = join(folder, 'uploads');
  const [name] = await readdir(place);
  return name === undefined || (await stat(join(place, name)).catch(() => ({ size }))).size === size;
}

test('an upload that is killed at its very end is there whole, or ends when it is asked for', async (t) => {
  t.timeout(300_000);
  const bytes = randomBytes(2 * CHUNK);
  const ends = { whole: 0, later: 0 };
  for (let round = 0; round < 6; round++) {
    const folder = await temporaryFolder(t);
    const first = await spawnService(folder);
    const metadata = { type: 'data', uuid: id(1), sha256: sha256(bytes) };
    const path = pathOf(await calls(first).create(bytes.length, metadata));
    t.is((await calls(first).patch(path, 0, bytes.subarray(0, CHUNK))).status, 204);
    const last = calls(first).patch(path, CHUNK, bytes.subarray(CHUNK));
    last.catch(() => {});
    while (!(await isWritten(folder, bytes.length))) await pause(1);
    await pause(6 * round);
    await first.kill();
    await using second = await spawnService(folder);
    const there = (await fetch(`${second.url}/data/${id(1)}`)).status === 200;
    ends[there ? 'whole' : 'later']++;
    const offset = offsetOf(await calls(second).head(path));
    if (offset < bytes.length) {
      t.false(there);
      t.is((await calls(second).patch(path, offset, bytes.subarray(offset))).status, 204);
    }
    await second.sweep();
    await requireWhole(t, folder, second, bytes);
  }
  t.log(ends);
});
