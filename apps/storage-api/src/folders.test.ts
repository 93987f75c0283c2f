import { mkdir, mkdtempDisposable, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readiness, TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { canMountDisks, mountSmallDisk } from '@morpheo/real-parts';
import test from 'ava';
import { probesOf } from './check.ts';
import { loadConfig } from './config/config.ts';
import { openTestService, type TestService } from './testing/open-service.ts';

/** What storage-api keeps in its data folder, by the part of `/ready` that has it, and how it is lost. */
const LOST: readonly (readonly [part: string, path: string, how: 'gone' | 'a file'])[] = [
  ['uploads', 'uploads', 'a file'],
  ['blobs', 'blobs', 'gone'],
  ['blobs', 'blobs/7f', 'gone'],
  ['blobs', 'blobs/7f', 'a file'],
  ['blobs', 'staging', 'gone'],
  ['blobs', 'staging', 'a file'],
  ['database', 'storage.db', 'gone'],
];

test('A folder or file that is lost while the service runs is named by /ready, until it is back', async (t) => {
  await using service = await openTestService();
  const at = (path: string) => join(service.folder, path);
  await mkdir(at('uploads'));
  t.deepEqual(await wrongOf(service), []);
  for (const [part, path, how] of LOST) {
    await rename(at(path), at('aside'));
    if (how === 'a file') await writeFile(at(path), '');
    t.deepEqual(await wrongOf(service), [part], `${path}: ${how}`);
    await rm(at(path), { force: true });
    await rename(at('aside'), at(path));
  }
  t.deepEqual(await wrongOf(service), []);
});

test('Where resumable uploads cannot be kept, /ready says so, and a chunk is to be sent again later', async (t) => {
  await using service = await openTestService();
  await writeFile(join(service.folder, 'uploads'), '');
  t.deepEqual(await wrongOf(service), ['uploads']);
  const { status, code } = await sendChunk(service);
  t.deepEqual([status, code], [503, 'unavailable']);
});

test('A disk that may only be read is named by /ready and by --check', async (t) => {
  if (!canMountDisks) return t.log('This user may not mount disks.');
  await using folder = await mkdtempDisposable(join(tmpdir(), 'storage-folders-'));
  await using disk = await mountSmallDisk(folder.path, 2 ** 20);
  await using elsewhere = await mkdtempDisposable(join(tmpdir(), 'storage-folders-'));
  await using service = await openTestService({
    dataFolder: disk.folder,
    database: { engine: 'sqlite', file: join(elsewhere.path, 'storage.db') },
    blobs: { kind: 'local', folder: elsewhere.path },
  });
  t.deepEqual(await wrongOf(service), []);
  await disk.readOnly();
  t.deepEqual(await wrongOf(service), ['uploads']);
  t.is((await sendChunk(service)).code, 'unavailable');
  t.regex((await checked(disk.folder)).get('data folder') ?? '', /its disk may only be read/);
});

test('--check names each folder that cannot be used, and changes nothing', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'storage-folders-'));
  t.deepEqual(await checked(join(folder.path, 'new')), new Map());
  for (const [part, path] of [
    ['data folder', 'data'],
    ['data folder', 'data/uploads'],
    ['blobs', 'data/staging'],
    ['blobs', 'data/blobs'],
    ['blobs', 'data/blobs/7f'],
  ] as const) {
    const at = join(folder.path, path);
    await mkdir(join(at, '..'), { recursive: true });
    await writeFile(at, '');
    const wrong = await checked(join(folder.path, 'data'));
    t.regex(wrong.get(part) ?? '', /is no folder\.$/, path);
    await rm(join(folder.path, 'data'), { recursive: true });
  }
});

/** The parts that `/ready` says are not well; none where it answers 200. */
async function wrongOf(service: TestService): Promise<string[]> {
  const answer = await fetch(`${service.url}/ready`);
  const { dependencies } = readiness.parse(await answer.json());
  const wrong = dependencies.filter(({ ok }) => !ok).map(({ name }) => name);
  if ((answer.status === 200) !== (wrong.length === 0)) throw new Error(`/ready answers ${answer.status}`);
  return wrong;
}

/** Begins a resumable upload and sends its bytes. */
async function sendChunk(service: TestService): Promise<{ status: number; code: unknown }> {
  const version = { 'tus-resumable': TUS_VERSION };
  const metadata = { 'upload-length': '3', 'upload-metadata': `type ${btoa('data')}` };
  const begun = await service.call('uploader', '/v1/uploads', {
    method: 'POST',
    headers: { ...version, ...metadata },
  });
  const answer = await service.call('uploader', `/v1/${begun.headers.get('location')}`, {
    method: 'PATCH',
    headers: { ...version, 'content-type': TUS_CHUNK_TYPE, 'upload-offset': '0' },
    body: 'abc',
  });
  const { code } = (await answer.json()) as { code?: unknown };
  return { status: answer.status, code };
}

/** What is wrong with the folders below a data folder, by the name of the probe. */
async function checked(dataFolder: string): Promise<Map<string, string>> {
  const loaded = loadConfig(['--data-dir', dataFolder, '--insecure-open', 'true'], {});
  if (loaded.kind !== 'settings') throw new Error('these are settings');
  const wrong = new Map<string, string>();
  for (const [name, probe] of Object.entries(probesOf(loaded.values))) {
    await probe.ask(AbortSignal.timeout(60_000)).catch((error: unknown) => {
      wrong.set(name, error instanceof Error ? error.message : String(error));
    });
  }
  return wrong;
}
