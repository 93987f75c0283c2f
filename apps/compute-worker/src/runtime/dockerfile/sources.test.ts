import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { OrderFailure } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import type { CopyAction } from './plan/actions.ts';
import { findSources } from './sources.ts';

const FILES = ['a.py', 'b.py', '.hidden.py', 'a1.txt', 'a[1].txt', 'dir/c.py', 'dir/sub/d.py', 'é.txt'];

function copyOf(sources: readonly string[], word: 'COPY' | 'ADD' = 'COPY'): CopyAction {
  const target = { destination: '/app', intoFolder: true, owner: undefined, mode: undefined };
  return { kind: 'copy', word, line: 2, text: '', from: undefined, sources, ...target };
}

async function context() {
  const folder = await temporaryFolder();
  for (const file of FILES) {
    await mkdir(join(folder.path, file, '..'), { recursive: true });
    await writeFile(join(folder.path, file), file);
  }
  return folder;
}

test("Patterns fit as Docker's do: hidden files too, and no slash", async (t) => {
  await using folder = await context();
  const found = async (...sources: string[]) =>
    (await findSources(folder.path, copyOf(sources))).map(({ path }) => path);
  t.deepEqual(await found('*.py'), ['.hidden.py', 'a.py', 'b.py']);
  t.deepEqual(await found('?.py', 'none*'), ['a.py', 'b.py']);
  t.deepEqual(await found('[a-b].py'), ['a.py', 'b.py']);
  t.deepEqual(await found('[^a].*'), ['b.py', 'é.txt']);
  t.deepEqual(await found('a[1].txt'), ['a1.txt']);
  t.deepEqual(await found('d*/*'), ['dir/c.py', 'dir/sub']);
  t.deepEqual(await found('.'), ['.']);
  for (const absent of ['none*', 'none', 'a.py/x', 'dir/none'])
    await t.throwsAsync(found(absent), { instanceOf: OrderFailure, message: /line 2: There is no / }, absent);
  await t.throwsAsync(found('a[b'), { message: /line 2: a\[b is no pattern/ });
});

test('ADD is COPY, but for archives, which it would unpack', async (t) => {
  await using folder = await context();
  const tar = Buffer.alloc(1024);
  tar.write('name');
  const sum = tar.reduce((total, byte) => total + byte, 8 * 0x20);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const files = {
    'a.tar': tar,
    'a.tgz': gzipSync(tar),
    'a.bz2': Buffer.from('BZh9...'),
    'a.gz': gzipSync('text'),
  };
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder.path, name), bytes);
  const add = async (name: string) => await findSources(folder.path, copyOf([name], 'ADD'));
  for (const name of ['a.tar', 'a.tgz', 'a.bz2'])
    await t.throwsAsync(add(name), { message: /line 2: ADD would unpack .*unpack it in a RUN line/ }, name);
  for (const name of ['a.gz', 'a.py', 'dir']) await t.notThrowsAsync(add(name), name);
  await t.notThrowsAsync(findSources(folder.path, copyOf(['a.tgz'])));
});
