import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listing, temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { placeFile, placeTree } from './copy-in.ts';

test('A copy can be changed without changing the original', async (t) => {
  await using folder = await temporaryFolder();
  const [original, copy] = [join(folder.path, 'original'), join(folder.path, 'copy')];
  await writeFile(original, 'as it was');
  await placeFile(original, copy, 'copy');
  await writeFile(copy, 'changed');
  t.is(await readFile(original, 'utf8'), 'as it was');
});

test('A link takes no room of its own', async (t) => {
  await using folder = await temporaryFolder();
  const [original, link] = [join(folder.path, 'original'), join(folder.path, 'link')];
  await writeFile(original, 'shared');
  await placeFile(original, link, 'link');
  t.is((await stat(link)).ino, (await stat(original)).ino);
});

test('A tree is placed with the files at any depth', async (t) => {
  await using folder = await temporaryFolder();
  const [from, to] = [join(folder.path, 'from'), join(folder.path, 'to')];
  await mkdir(join(from, 'a', 'b'), { recursive: true });
  for (const name of ['top', 'a/middle', 'a/b/deep']) await writeFile(join(from, name), name);
  await placeTree(from, to, 'copy');
  t.deepEqual(await listing(to), await listing(from));
  t.is(await readFile(join(to, 'a/b/deep'), 'utf8'), 'a/b/deep');
});

test('Nothing that is there already is overwritten', async (t) => {
  await using folder = await temporaryFolder();
  const [one, two] = [join(folder.path, 'one'), join(folder.path, 'two')];
  for (const path of [one, two]) await writeFile(path, path);
  for (const placing of ['copy', 'link'] as const) {
    await t.throwsAsync(placeFile(one, two, placing), { code: 'EEXIST' });
  }
});
