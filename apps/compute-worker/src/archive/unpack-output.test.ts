import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import { chunked, FLAGS, listing, rawTar, temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { type Header, pack } from 'tar-stream';
import { collectTree } from '../outputs/collect.ts';
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

test('An archive that would lead out of the folder is one that no daemon makes', async (t) => {
  const isOurs = { code: 'unavailable', message: /An entry leads out of its folder/ };
  await t.throwsAsync(unpack([{ name: 'v0/../../escaped', body: 'x' }]), isOurs);
  await t.throwsAsync(unpack([{ name: 'v0/link', type: 'link', linkname: '../../../etc/passwd' }]), isOurs);
});

test('What lies too deep, or has a name that is no text, stays to be found', async (t) => {
  await using deep = await unpack([{ name: `v0/${'d/'.repeat(3000)}x`, body: 'x' }], {
    bytes: 10,
    files: 10,
  });
  t.true(deep.whole);
  const limits = { bytes: 1000, files: 1000, depth: 64, pathBytes: 2048 };
  const at = '/data/model';
  const tooDeep = await t.throwsAsync(collectTree(deep.path, { limits, at }), { instanceOf: OrderFailure });
  t.like(tooDeep.failure, { reason: 'invalid_result', file: `${at}/${'d/'.repeat(64)}d` });

  const name = Buffer.alloc(200, 0xe9).toString('latin1');
  await using folder = await temporaryFolder();
  const archive = rawTar([
    { name: 'x', flag: FLAGS.gnuLongName, body: Buffer.from(`v0/${name}\0`, 'latin1') },
    { name: 'x', body: 'x' },
    { name: 'x', flag: FLAGS.gnuLongName, body: Buffer.from(`v0/${name}/f\0`, 'latin1') },
    { name: 'x', body: 'x' },
  ]);
  t.true(await unpackOutput(chunked(archive), folder.path, BOUNDS, new AbortController().signal));
  const noText = await t.throwsAsync(collectTree(folder.path, { limits, at }), { instanceOf: OrderFailure });
  t.is(noText.failure.reason, 'invalid_result');
  t.regex(noText.message, /bytes that are not UTF-8/);
});

test('Another name of what lies too deep, or of what has no place, leads nowhere and stays to be found', async (t) => {
  const deep = `v0/${'d/'.repeat(3000)}x`;
  await using out = await unpack([
    { name: 'v0/a', body: 'a' },
    { name: 'v0/a/b', body: 'b' },
    { name: deep, body: 'x' },
    { name: 'v0/of-deep', type: 'link', linkname: deep },
    { name: 'v0/of-none', type: 'link', linkname: 'v0/none' },
  ]);
  t.true(out.whole);
  for (const name of ['of-deep', 'of-none']) t.regex(await readlink(join(out.path, name)), /^\/dev\/null\//);
});

test('More bytes or files than may come end it', async (t) => {
  await using large = await unpack([{ name: 'v0/x', body: 'x'.repeat(1001) }]);
  t.false(large.whole);
  await using many = await unpack(Array.from({ length: 11 }, (_, index) => ({ name: `v0/${index}` })));
  t.false(many.whole);
});
