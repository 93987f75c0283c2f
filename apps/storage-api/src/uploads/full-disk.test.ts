import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { canMountDisks, mountSmallDisk, type SmallDisk } from '@morpheo/real-parts';
import ava, { type ExecutionContext } from 'ava';
import { as, offsetOf, pathOf } from '../resumable/testing.ts';
import { openTestService, type TestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';

const run = promisify(execFile);
const MEBIBYTE = 1024 * 1024;
const BYTES = Buffer.alloc(3 * MEBIBYTE, 'b');

if (!canMountDisks) process.stderr.write('SKIPPED the full disks: only root may mount one\n');
const test = ava.skipIf(!canMountDisks);

interface Place extends AsyncDisposable {
  readonly disk: SmallDisk;
  readonly service: TestService;
}

/** A service whose bytes are on a disk of their own, and its database and uploads on it as well where `all` is true. */
async function onSmallDisk(all: boolean): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'storage-disk-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const disk = stack.use(await mountSmallDisk(folder, 16 * MEBIBYTE));
  const blobs = { kind: 'local', folder: join(folder, 'bytes') } as const;
  const service = stack.use(
    all ? await openTestService({}, join(folder, 'all')) : await openTestService({ blobs }),
  );
  const opened = stack.move();
  return { disk, service, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** Uploads, stages and sends a chunk; resolves with the status and code of each, by name. */
async function writeAll({ service }: Place, number: number): Promise<Record<string, string>> {
  const bytes = new Uint8Array(BYTES);
  bytes[0] = number;
  const said = async (answer: Response) => {
    const { code } = answer.ok ? { code: 'done' } : ((await answer.json()) as { code: string });
    return `${answer.status} ${code}`;
  };
  const put = (role: 'uploader' | 'admin', path: string, method: string) =>
    service.call(role, path, { method, body: bytes });
  const tus = as(service, 'uploader');
  const created = await tus.create(bytes.length, { type: 'data', uuid: id(number + 300) });
  const results = `/v1/results/${id(number + 200)}/1?type=prediction&uuid=${id(number + 100)}`;
  return {
    upload: await said(await put('uploader', `/data?uuid=${id(number)}`, 'POST')),
    result: await said(await put('admin', results, 'PUT')),
    chunk: created.ok ? await said(await tus.patch(pathOf(created), 0, bytes)) : await said(created),
  };
}

const DONE = { upload: '201 done', result: '201 done', chunk: '204 done' };

/** After trouble all goes through, without a restart, and nothing of what was refused is there. */
async function recovers(t: ExecutionContext, place: Place, refused: number): Promise<void> {
  const { service } = place;
  t.is((await service.call('admin', `/data/${id(refused)}`)).status, 404);
  t.is(await service.staged().catch(() => 0), 0);
  t.deepEqual(await writeAll(place, refused + 1), DONE);
  const blob = await service.call('admin', `/data/${id(refused + 1)}/blob`);
  const expected = Buffer.from(BYTES);
  expected[0] = refused + 1;
  t.is(sha256(Buffer.from(await blob.arrayBuffer())), sha256(expected));
}

test('a full disk refuses with 507, and takes again what comes once there is room [B6]', async (t) => {
  await using place = await onSmallDisk(false);
  const { disk, service } = place;
  t.is(
    (await service.call('uploader', `/data?uuid=${id(50)}`, { method: 'POST', body: 'first' })).status,
    201,
  );
  await disk.fill();
  const full = { upload: '507 disk_full', result: '507 disk_full', chunk: '507 disk_full' };
  t.deepEqual(await writeAll(place, 1), full);
  t.is(await (await service.call('admin', `/data/${id(50)}/blob`)).text(), 'first');
  await disk.free();
  await recovers(t, place, 1);
});

test('a chunk that the disk cannot take is asked for again from where it is', async (t) => {
  await using place = await onSmallDisk(true);
  const { disk, service } = place;
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, { type: 'data', uuid: id(1), sha256: sha256(BYTES) }));
  t.is((await tus.patch(path, 0, BYTES.subarray(0, MEBIBYTE))).status, 204);
  await disk.fill();
  const refused = await tus.patch(path, MEBIBYTE, BYTES.subarray(MEBIBYTE));
  t.is(refused.status, 507);
  t.is(((await refused.json()) as { code: string }).code, 'disk_full');
  await disk.free();
  const at = offsetOf(await tus.head(path));
  t.true(at >= MEBIBYTE && at < BYTES.length, `${at}`);
  t.is((await tus.patch(path, at, BYTES.subarray(at))).status, 204);
  const blob = await service.call('admin', `/data/${id(1)}/blob`);
  t.is(sha256(Buffer.from(await blob.arrayBuffer())), sha256(BYTES));
  t.deepEqual(await readdir(join(service.folder, 'uploads')), []);
});

test('a disk that may only be read refuses with 503, and serves what it has', async (t) => {
  await using place = await onSmallDisk(false);
  const { disk, service } = place;
  t.is(
    (await service.call('uploader', `/data?uuid=${id(50)}`, { method: 'POST', body: 'first' })).status,
    201,
  );
  await run('mount', ['-o', 'remount,ro', disk.folder]);
  const away = { upload: '503 unavailable', result: '503 unavailable', chunk: '503 unavailable' };
  t.deepEqual(await writeAll(place, 1), away);
  t.is((await fetch(`${service.url}/ready`)).status, 503);
  t.is(await (await service.call('admin', `/data/${id(50)}/blob`)).text(), 'first');
  await run('mount', ['-o', 'remount,rw', disk.folder]);
  await recovers(t, place, 1);
});
