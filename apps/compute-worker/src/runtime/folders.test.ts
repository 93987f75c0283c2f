import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { DiskWatch, measure, outermost } from './folders.ts';

const ALL = { bytes: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };

test('Folders that lie in others are counted once', (t) => {
  t.deepEqual(outermost(['/a/b', '/a', '/ab', '/a', '/c/d']), ['/a', '/ab', '/c/d']);
});

test('What the disk gave is measured, holes and links left out', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'full'), Buffer.alloc(100_000, 1));
  await writeFile(join(box.path, 'sparse'), '');
  await truncate(join(box.path, 'sparse'), 2 ** 40);
  await mkdir(join(box.path, 'deep'));
  await symlink('/usr', join(box.path, 'deep', 'link'));
  const { bytes, files } = await measure([box.path], ALL);
  t.is(files, 4);
  t.true(bytes >= 100_000 && bytes < 200_000, `${bytes}`);
});

test('Measuring stops where a bound is passed', async (t) => {
  await using box = await temporaryFolder();
  for (let index = 0; index < 100; index += 1) await writeFile(join(box.path, `${index}`), '');
  t.is((await measure([box.path], { ...ALL, files: 10 })).files, 11);
});

test('A folder that is gone counts as nothing', async (t) => {
  t.deepEqual(await measure(['/no/such/folder'], ALL), { bytes: 0, files: 0 });
});

test('Only what was added counts', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'before'), Buffer.alloc(1_000_000, 1));
  const watch = await DiskWatch.open([box.path], { bytes: 500_000, files: 2 });
  t.false(await watch.isBeyond());
  await writeFile(join(box.path, 'after'), Buffer.alloc(400_000, 1));
  t.false(await watch.isBeyond());
  await writeFile(join(box.path, 'more'), Buffer.alloc(200_000, 1));
  t.true(await watch.isBeyond());
});
