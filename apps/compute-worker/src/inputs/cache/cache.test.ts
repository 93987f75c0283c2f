import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { memoryLog, silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { type Cache, openCache } from './index.ts';

const { signal } = new AbortController();
const keyOf = (text: string) => createHash('sha256').update(text).digest('hex');

async function use(cache: Cache, text: string, counts: { made: number } = { made: 0 }) {
  return await cache.use({
    area: 'blobs',
    key: keyOf(text),
    signal,
    prove: async (path) => keyOf(await readFile(path, 'utf8')) === keyOf(text),
    make: async (into) => {
      counts.made += 1;
      await writeFile(into, text);
      return text.length;
    },
  });
}

test('An entry is made once and found from then on', async (t) => {
  await using folder = await temporaryFolder();
  await using cache = await openCache({ folder: folder.path, limitBytes: 1000, log: silentLog });
  const counts = { made: 0 };
  const [one, two] = await Promise.all([use(cache, 'bytes', counts), use(cache, 'bytes', counts)]);
  using third = await use(cache, 'bytes', counts);
  t.is(counts.made, 1);
  t.deepEqual([one.cached, two.cached, third.cached], [false, true, true]);
  t.is(await readFile(third.path, 'utf8'), 'bytes');
  t.is(cache.bytes, 5);
});

test('The longest unused entry gives way when the cache is full', async (t) => {
  await using folder = await temporaryFolder();
  await using cache = await openCache({ folder: folder.path, limitBytes: 10, log: silentLog });
  const counts = { made: 0 };
  for (const text of ['aaaa', 'bbbb', 'aaaa', 'cccc']) {
    (await use(cache, text, counts))[Symbol.dispose]();
  }
  t.is(counts.made, 3);
  t.is(cache.bytes, 8);
  using _a = await use(cache, 'aaaa', counts);
  t.is(counts.made, 3);
  using _b = await use(cache, 'bbbb', counts);
  t.is(counts.made, 4);
});

test('What is in use stays, however full the cache is', async (t) => {
  await using folder = await temporaryFolder();
  await using cache = await openCache({ folder: folder.path, limitBytes: 5, log: silentLog });
  const held = await use(cache, 'aaaa');
  using other = await use(cache, 'bbbb');
  t.is(await readFile(held.path, 'utf8'), 'aaaa');
  t.is(await readFile(other.path, 'utf8'), 'bbbb');
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  await eventually(
    t,
    async (inner) => void (await inner.throwsAsync(readFile(held.path), { code: 'ENOENT' })),
  );
  t.is(cache.bytes, 4);
});

test('A failure is not kept and leaves nothing behind', async (t) => {
  await using folder = await temporaryFolder();
  await using cache = await openCache({ folder: folder.path, limitBytes: 1000, log: silentLog });
  const make = async (into: string) => {
    await mkdir(into);
    throw new Error('broken');
  };
  await t.throwsAsync(cache.use({ area: 'contexts', key: keyOf('x'), signal, make }), { message: 'broken' });
  t.deepEqual(await readdir(join(folder.path, 'tmp')), []);
  t.deepEqual(await readdir(join(folder.path, 'contexts')), []);
  using entry = await use(cache, 'x');
  t.false(entry.cached);
});

test('Entries outlive the process and half-made ones do not', async (t) => {
  await using folder = await temporaryFolder();
  const options = { folder: folder.path, limitBytes: 1000, log: silentLog };
  await openCache(options).then(async (cache) => (await use(cache, 'bytes'))[Symbol.dispose]());
  await writeFile(join(folder.path, 'tmp', 'half'), 'by');
  await writeFile(join(folder.path, 'blobs', `${keyOf('short')}.1000`), 'cut off');
  {
    await using cache = await openCache(options);
    t.is(cache.bytes, 5);
    using entry = await use(cache, 'bytes');
    t.true(entry.cached);
  }
  t.deepEqual(await readdir(join(folder.path, 'tmp')), []);
  t.deepEqual(await readdir(join(folder.path, 'trash')), []);
});

test('After a restart of the machine a damaged file is made again', async (t) => {
  await using folder = await temporaryFolder();
  const log = memoryLog();
  const options = { folder: folder.path, limitBytes: 1000, log };
  const first = await openCache(options);
  for (const text of ['whole', 'holes']) (await use(first, text))[Symbol.dispose]();
  await first.use({
    area: 'contexts',
    key: keyOf('tree'),
    signal,
    make: async (into) => {
      await mkdir(into);
      return 1;
    },
  });
  await writeFile(join(folder.path, 'machine-boot'), 'another boot');
  await writeFile(join(folder.path, 'blobs', `${keyOf('holes')}.5`), '\0\0\0\0\0');
  await using second = await openCache(options);
  const counts = { made: 0 };
  using _whole = await use(second, 'whole', counts);
  t.is(counts.made, 0);
  using holes = await use(second, 'holes', counts);
  t.is(counts.made, 1);
  t.is(await readFile(holes.path, 'utf8'), 'holes');
  t.deepEqual(await readdir(join(folder.path, 'contexts')), []);
  t.is(log.entries.filter(({ level }) => level === 'warn').length, 1);
});
