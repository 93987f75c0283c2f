import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { ArchiveError } from './header.ts';
import {
  chunked,
  FLAGS,
  listing,
  paxRecord,
  type RawEntry,
  rawTar,
  rawTarGz,
  temporaryFolder,
} from './testing.ts';
import type { TreeLimits } from './tree-limits.ts';
import { unpackArchive } from './unpack.ts';

const LIMITS: TreeLimits = { bytes: 100_000, files: 20, depth: 5, pathBytes: 400 };
const never = new AbortController().signal;

async function refused(t: ExecutionContext, archive: Uint8Array, message: RegExp): Promise<void> {
  await using box = await temporaryFolder();
  const unpacking = unpackArchive(chunked(archive), join(box.path, 'out'), LIMITS, never);
  const error = await t.throwsAsync(unpacking, { instanceOf: ArchiveError });
  t.regex(error.message, message);
  t.deepEqual(await listing(box.path), [], 'nothing is left, inside or outside');
}

async function unpacked(t: ExecutionContext, entries: readonly RawEntry[]): Promise<Record<string, string>> {
  await using box = await temporaryFolder();
  const out = join(box.path, 'out');
  const told = await unpackArchive(chunked(rawTarGz(entries), 100), out, LIMITS, never);
  const texts: Record<string, string> = {};
  for (const path of await listing(out)) {
    const isFile = (await stat(join(out, path))).isFile();
    texts[path] = isFile ? await readFile(join(out, path), 'utf8') : '/';
  }
  t.is(told.files, Object.values(texts).filter((text) => text !== '/').length);
  return texts;
}

test('An archive unpacks with its folders, whether it names them or not', async (t) => {
  const texts = await unpacked(t, [
    { name: './', flag: FLAGS.folder },
    { name: './Dockerfile', body: 'FROM x' },
    { name: 'lib/', flag: FLAGS.folder },
    { name: 'lib/a.js', body: 'a' },
    { name: 'deep//b/./c', body: '' },
    { name: 'lib', flag: FLAGS.folder },
  ]);
  t.deepEqual(texts, {
    Dockerfile: 'FROM x',
    lib: '/',
    [join('lib', 'a.js')]: 'a',
    deep: '/',
    [join('deep', 'b')]: '/',
    [join('deep', 'b', 'c')]: '',
  });
});

test('Of the modes, only the executable bit is kept', async (t) => {
  await using box = await temporaryFolder();
  const out = join(box.path, 'out');
  const archive = rawTarGz([
    { name: 'run', mode: 0o4701 },
    { name: 'read', mode: 0o6666 },
  ]);
  await unpackArchive(chunked(archive), out, LIMITS, never);
  t.is((await stat(join(out, 'run'))).mode & 0o7777, 0o755);
  t.is((await stat(join(out, 'read'))).mode & 0o7777, 0o644);
});

test('Long names come through in both the pax and the GNU form', async (t) => {
  const long = 'x'.repeat(150);
  const texts = await unpacked(t, [
    { name: 'pax', flag: FLAGS.globalPax, body: paxRecord('comment', 'of no matter') },
    { name: 'pax', flag: FLAGS.pax, body: paxRecord('path', `pax-${long}`) },
    { name: 'short', body: 'one' },
    { name: '././@LongLink', flag: FLAGS.gnuLongName, body: `gnu-${long}\0` },
    { name: 'short', body: 'two' },
  ]);
  t.deepEqual(texts, { [`pax-${long}`]: 'one', [`gnu-${long}`]: 'two' });
});

const HOSTILE: Record<string, [readonly RawEntry[], RegExp]> = {
  'A path with ".." is refused': [[{ name: '../../evil' }], /\.\.\/\.\.\/evil leads out of its folder/],
  'A path with ".." in a pax header is refused': [
    [{ name: 'p', flag: FLAGS.pax, body: paxRecord('path', 'a/../../evil') }, { name: 'good' }],
    /leads out of its folder/,
  ],
  'An absolute path is refused': [[{ name: '/etc/cron.d/evil' }], /is an absolute path/],
  'A path with a backslash is refused': [[{ name: 'a\\..\\b' }], /backslash/],
  'A path with a line break is refused': [[{ name: 'a\nb' }], /control character/],
  'A NUL in a long name is refused': [
    [{ name: 'p', flag: FLAGS.pax, body: paxRecord('path', 'a\0b') }, { name: 'good' }],
    /control character/,
  ],
  'A symbolic link is refused': [
    [{ name: 'model', flag: FLAGS.symlink, link: '/etc/passwd' }],
    /model is neither a file nor a folder \(symlink\)/,
  ],
  'A device is refused': [[{ name: 'sda', flag: FLAGS.blockDevice }], /\(block-device\)/],
  'A FIFO is refused': [[{ name: 'pipe', flag: FLAGS.fifo }], /\(fifo\)/],
  'A file that stands twice is refused': [[{ name: 'a' }, { name: './a' }], /a stands twice/],
  'A file in the place of a folder is refused': [[{ name: 'a/b' }, { name: 'a' }], /a folder and a file/],
  'A folder in the place of a file is refused': [[{ name: 'a' }, { name: 'a/b' }], /a stands twice/],
  'A folder with bytes is refused': [[{ name: 'a/', flag: FLAGS.folder, body: 'x' }], /claims to have bytes/],
  'A file without a name is refused': [[{ name: './.', body: 'x' }], /without a name/],
  'An empty archive is refused': [[], /is empty/],
  'Too many entries are refused': [
    Array.from({ length: 21 }, (_, index) => ({ name: `f${index}` })),
    /more than 20 files and folders/,
  ],
  'Too deep a path is refused': [[{ name: 'a/b/c/d/e/f' }], /deeper than 5 folders/],
  'Too long a path is refused': [
    [{ name: '', flag: FLAGS.gnuLongName, body: `${'x/'.repeat(200)}yyy\0` }, { name: 'good' }],
    /deeper than|more than 400 bytes/,
  ],
  'Too long a name is refused': [
    [{ name: '', flag: FLAGS.gnuLongName, body: `${'x'.repeat(256)}\0` }, { name: 'good' }],
    /name of more than 255 bytes/,
  ],
  'Files of too many bytes are refused': [
    [
      { name: 'a', body: Buffer.alloc(60_000) },
      { name: 'b', body: Buffer.alloc(60_000) },
    ],
    /unpacks to more than 100000 bytes/,
  ],
  'A file that claims a terabyte is refused': [[{ name: 'a', size: 0o77777777777 }], /unpacks to more than/],
  'An archive of nothing but headers is refused': [
    Array.from({ length: 200 }, () => ({
      name: 'p',
      flag: FLAGS.pax,
      body: paxRecord('comment', 'x'.repeat(400)),
    })),
    /two extended headers|without an entry/,
  ],
  'Two headers of one kind before an entry are refused': [
    [
      ...Array.from({ length: 2 }, () => ({ name: 'p', flag: FLAGS.pax, body: paxRecord('comment', 'x') })),
      { name: 'good' },
    ],
    /good has two extended headers of one kind/,
  ],
};

for (const [title, [entries, message]] of Object.entries(HOSTILE)) {
  test(title, (t) => refused(t, rawTarGz(entries), message));
}

test('A bomb of zeros after the end of the archive is refused', async (t) => {
  await refused(
    t,
    gzipSync(Buffer.concat([rawTar([{ name: 'a' }]), Buffer.alloc(50_000_000)])),
    /belong to no entry/,
  );
});

test('A small archive that inflates without end is stopped at the limit', async (t) => {
  const bomb = rawTarGz([{ name: 'zeros', body: Buffer.alloc(50_000_000) }]);
  t.true(bomb.byteLength < 100_000);
  await refused(t, bomb, /unpacks to more than 100000 bytes/);
});

test('What is no .tar.gz is refused with what is expected', async (t) => {
  await refused(t, rawTar([{ name: 'a' }]), /not compressed with gzip: a \.tar\.gz is expected/);
  await refused(t, gzipSync(Buffer.from('x'.repeat(2000))), /not a tar archive/);
  await refused(t, Buffer.alloc(0), /its end is missing/);
});

test('An archive that was cut off is refused', async (t) => {
  const whole = rawTar([
    { name: 'a', body: Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251)) },
  ]);
  await refused(t, gzipSync(whole).subarray(0, -200), /its end is missing/);
  await refused(t, gzipSync(whole.subarray(0, 3000)), /not a whole one/);
});

test('An error of the source is passed on as it is', async (t) => {
  await using box = await temporaryFolder();
  const lost = new Error('The connection was lost');
  async function* source(): AsyncGenerator<Uint8Array> {
    yield rawTarGz([{ name: 'a', body: 'x'.repeat(50_000) }]).subarray(0, 60);
    throw lost;
  }
  const error = await t.throwsAsync(unpackArchive(source(), join(box.path, 'out'), LIMITS, never));
  t.is(error, lost);
  t.deepEqual(await listing(box.path), []);
});

test('An abort ends the unpacking with its reason and leaves nothing', async (t) => {
  await using box = await temporaryFolder();
  const controller = new AbortController();
  const reason = new Error('The order was cancelled');
  async function* source(): AsyncGenerator<Uint8Array> {
    yield rawTarGz([{ name: 'a', body: 'x' }]).subarray(0, 30);
    controller.abort(reason);
    await new Promise(() => undefined);
  }
  const unpacking = unpackArchive(source(), join(box.path, 'out'), LIMITS, controller.signal);
  t.is(await t.throwsAsync(unpacking), reason);
  t.deepEqual(await listing(box.path), []);
});

test('A refusal does not wait for the rest of the source', async (t) => {
  await using box = await temporaryFolder();
  async function* source(): AsyncGenerator<Uint8Array> {
    yield rawTarGz([{ name: '../evil' }]);
    await new Promise(() => undefined);
  }
  await t.throwsAsync(unpackArchive(source(), join(box.path, 'out'), LIMITS, never), {
    instanceOf: ArchiveError,
  });
});
