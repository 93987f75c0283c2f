import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, readFile, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { unpackArchive } from '@morpheo/service/archive';
import { listing, temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { packFolder } from './pack.ts';

const never = new AbortController().signal;

async function folderWith(box: string, files: Record<string, string>): Promise<string> {
  const folder = join(box, 'model');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

test('A packed folder unpacks to the same files', async (t) => {
  await using box = await temporaryFolder();
  const long = `${'long'.repeat(30)}-é`;
  const files = {
    'model_trained.json': '{}',
    'weights/1.bin': 'x'.repeat(300_000),
    'weights/2.bin': '',
    [long]: 'l',
  };
  const folder = await folderWith(box.path, files);
  const target = join(box.path, 'model.tar.gz');
  const listed = Object.entries(files).map(([path, text]) => ({ path, size: text.length }));
  const packed = await packFolder(folder, { files: listed, target, signal: never });

  const bytes = await readFile(target);
  t.is(packed.size, bytes.byteLength);
  t.is(packed.sha256, createHash('sha256').update(bytes).digest('hex'));
  const out = join(box.path, 'out');
  const limits = { bytes: 1e6, files: 10, depth: 3, pathBytes: 300 };
  await unpackArchive(createReadStream(target), out, limits, never);
  for (const [path, text] of Object.entries(files)) t.is(await readFile(join(out, path), 'utf8'), text);
});

test('The same files give the same bytes, whatever their times, modes and order', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { b: 'bee', a: 'ay', 'c/d': 'dee' });
  const files = ['b', 'c/d', 'a'].map((path) => ({ path, size: 3 - Number(path === 'a') }));
  const first = await packFolder(folder, { files, target: join(box.path, '1'), signal: never });
  await chmod(join(folder, 'a'), 0o700);
  await utimes(join(folder, 'b'), 1, 1);
  const again = { files: files.toReversed(), target: join(box.path, '2'), signal: never };
  t.deepEqual(await packFolder(folder, again), first);
});

test('What may be executed may be executed when it is unpacked', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { 'run.sh': 'x', data: 'x' });
  const target = join(box.path, 'model.tar.gz');
  const files = [
    { path: 'run.sh', size: 1, executable: true },
    { path: 'data', size: 1, executable: false },
  ];
  await packFolder(folder, { files, target, signal: never });
  const out = join(box.path, 'out');
  const limits = { bytes: 1e6, files: 10, depth: 3, pathBytes: 300 };
  await unpackArchive(createReadStream(target), out, limits, never);
  t.is((await stat(join(out, 'run.sh'))).mode & 0o777, 0o755);
  t.is((await stat(join(out, 'data'))).mode & 0o777, 0o644);
});

test('Entries have mode 0664, are relative, and no folder is among them', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { 'c/d': 'dee' });
  const target = join(box.path, 'model.tar.gz');
  await packFolder(folder, { files: [{ path: 'c/d', size: 3 }], target, signal: never });
  const tar = gunzipSync(await readFile(target));
  t.is(tar.subarray(0, 4).toString(), 'c/d\0');
  t.is(tar.subarray(100, 107).toString(), '000664 ');
  t.is(tar.byteLength, 512 + 512 + 1024);
});

test('A file that became a link or changed its size is not packed', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { a: 'text', b: 'text' });
  await symlink('/etc/passwd', join(folder, 'link'));
  await truncate(join(folder, 'a'), 2);
  const target = join(box.path, 'model.tar.gz');
  const { size } = await stat('/etc/passwd');
  for (const file of [
    { path: 'a', size: 4 },
    { path: 'b', size: 3 },
    { path: 'link', size },
    { path: 'gone', size: 1 },
  ]) {
    const files = [{ path: 'b', size: 4 }, file].slice(file.path === 'b' ? 1 : 0);
    await t.throwsAsync(packFolder(folder, { files, target, signal: never }));
  }
  t.deepEqual(await listing(box.path), ['model', 'model/a', 'model/b', 'model/link']);
});

test('An abort ends the packing with its reason and leaves no archive', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { big: '' });
  await truncate(join(folder, 'big'), 2 ** 40);
  const controller = new AbortController();
  const reason = new Error('The order was cancelled');
  const files = [{ path: 'big', size: 2 ** 40 }];
  const packing = packFolder(folder, { files, target: join(box.path, 'm'), signal: controller.signal });
  setImmediate(() => controller.abort(reason));
  t.is(await t.throwsAsync(packing), reason);
  t.deepEqual(await listing(box.path), ['model', 'model/big']);
});

test('An archive that is there already is not written over', async (t) => {
  await using box = await temporaryFolder();
  const folder = await folderWith(box.path, { a: 'text' });
  const target = join(box.path, 'there');
  await writeFile(target, 'precious');
  await t.throwsAsync(packFolder(folder, { files: [], target, signal: never }), { code: 'EEXIST' });
  t.is(await readFile(target, 'utf8'), 'precious');
});
