import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type Header, pack } from 'tar-stream';
import { chunked, listing, temporaryFolder } from './testing.ts';
import { unpackOutput } from './unpack-output.ts';

type Entry = Partial<Header> & Pick<Header, 'name'> & { readonly body?: string };

async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const packed = pack();
  for (const { body = '', ...header } of entries) packed.entry(header, body);
  packed.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of packed) if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const BOUNDS = { bytes: 1000, files: 10 };

async function unpack(entries: readonly Entry[], bounds = BOUNDS) {
  const folder = await temporaryFolder();
  const { signal } = new AbortController();
  const whole = await unpackOutput(chunked(await tar(entries)), folder.path, bounds, signal);
  return { ...folder, whole };
}

test('What a container wrote comes back below the folder', async (t) => {
  await using out = await unpack([
    { name: 'v0/', type: 'directory' },
    { name: 'v0/a/', type: 'directory' },
    { name: 'v0/a/b', body: 'text' },
    { name: 'v0/again', type: 'link', linkname: 'v0/a/b' },
  ]);
  t.true(out.whole);
  t.deepEqual(await listing(out.path), ['a', 'a/b', 'again']);
  t.is(await readFile(join(out.path, 'again'), 'utf8'), 'text');
});

test('What is no file leads nowhere, and stays to be found', async (t) => {
  await using out = await unpack([
    { name: 'v0/link', type: 'symlink', linkname: '/etc/passwd' },
    { name: 'v0/fifo', type: 'fifo' },
    { name: 'v0/device', type: 'character-device', devmajor: 1, devminor: 3 },
  ]);
  t.true(out.whole);
  for (const name of ['link', 'fifo', 'device']) {
    t.true((await lstat(join(out.path, name))).isSymbolicLink());
    t.regex(await readlink(join(out.path, name)), /^\/dev\/null\//);
  }
});

test('An archive that would lead out of the folder is cut short', async (t) => {
  await using above = await unpack([{ name: 'v0/../../escaped', body: 'x' }]);
  t.false(above.whole);
  await using through = await unpack([{ name: 'v0/link', type: 'link', linkname: '../../../etc/passwd' }]);
  t.false(through.whole);
  t.deepEqual(await listing(through.path), []);
});

test('More bytes or files than may come end it', async (t) => {
  await using large = await unpack([{ name: 'v0/x', body: 'x'.repeat(1001) }]);
  t.false(large.whole);
  await using many = await unpack(Array.from({ length: 11 }, (_, index) => ({ name: `v0/${index}` })));
  t.false(many.whole);
  await using deep = await unpack([{ name: `v0/${'d/'.repeat(3000)}x`, body: 'x' }]);
  t.false(deep.whole);
});
