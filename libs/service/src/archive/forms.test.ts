import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
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

/** The forms of tar: what is understood to the byte comes right, and all else is refused by its name. */

const LIMITS: TreeLimits = { bytes: 5_000_000, files: 50, depth: 10, pathBytes: 400 };
const SPARSE =
  /^The entry weights\.bin is a sparse file: pack without the option -S of tar, on macOS with --no-read-sparse\.$/;

/** The files of an archive, by path; those that may be executed with an exclamation mark. */
async function unpacked(archive: Uint8Array): Promise<Record<string, string>> {
  await using box = await temporaryFolder();
  const out = join(box.path, 'out');
  await unpackArchive(chunked(archive), out, LIMITS, new AbortController().signal);
  const files: Record<string, string> = {};
  for (const path of await listing(out)) {
    const stats = await stat(join(out, path));
    const mark = (stats.mode & 0o100) === 0 ? '' : '!';
    if (stats.isFile()) files[path + mark] = await readFile(join(out, path), 'utf8');
  }
  return files;
}

async function refused(t: ExecutionContext, archive: Uint8Array, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(unpacked(archive), { instanceOf: ArchiveError });
  t.regex(error.message, message);
}

const file: RawEntry = { name: 'weights.bin', body: 'weights' };
const pax = (...records: readonly (readonly [string, string])[]): RawEntry => ({
  name: './PaxHeaders/weights.bin',
  flag: FLAGS.pax,
  body: records.map(([key, value]) => paxRecord(key, value)).join(''),
});
const inner: RawEntry = { ...file, name: './GNUSparseFile.1/weights.bin', body: '1\n0\n7\n' };

/** Sources: GNU tar, "Storing Sparse Files"; star(5); tar(5) of libarchive. */
const NOT_UNDERSTOOD: Readonly<Record<string, readonly [entries: readonly RawEntry[], message: RegExp]>> = {
  'a sparse file of the old GNU form': [[{ ...file, flag: FLAGS.gnuSparse }], SPARSE],
  'a sparse file of PAX 0.0': [
    [
      pax(
        ['GNU.sparse.size', '20'],
        ['GNU.sparse.numblocks', '1'],
        ['GNU.sparse.offset', '0'],
        ['GNU.sparse.numbytes', '7'],
      ),
      file,
    ],
    SPARSE,
  ],
  'a sparse file of PAX 0.1': [
    [pax(['GNU.sparse.size', '20'], ['GNU.sparse.map', '0,7'], ['GNU.sparse.name', 'weights.bin']), inner],
    SPARSE,
  ],
  'a sparse file of PAX 1.0': [
    [
      pax(
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 'weights.bin'],
        ['GNU.sparse.realsize', '20'],
      ),
      inner,
    ],
    SPARSE,
  ],
  'a sparse file of star': [[pax(['SCHILY.realsize', '20']), file], SPARSE],
  'a sparse file of Solaris': [[pax(['SUN.holesdata', ' 0 7 20']), file], SPARSE],
  'a part of a volume': [[{ ...file, flag: 'M' }], /weights\.bin is part of an archive of several volumes/],
  'a part of a volume by PAX': [[pax(['GNU.volume.offset', '5']), file], /several volumes/],
  'a folder of an incremental backup': [
    [{ name: 'lib/', flag: 'D', body: 'Yfile\0\0' }],
    /lib\/ belongs to an incremental backup/,
  ],
  'a folder of an incremental backup by PAX': [
    [pax(['GNU.dumpdir', 'Yfile\0\0']), { name: 'lib/', flag: FLAGS.folder }],
    /lib\/ belongs to an incremental backup/,
  ],
  'a key that is not known': [
    [pax(['VENDOR.codec', 'zip']), file],
    /weights\.bin has the key VENDOR\.codec in its extended header/,
  ],
  'a type flag that is not known': [
    [{ ...file, flag: 'Z' }],
    /weights\.bin is of a kind that is not known \(type flag Z\)/,
  ],
  'a header of Solaris': [[{ ...file, flag: 'X' }], /type flag X/],
  'a path for all entries': [
    [{ name: 'g', flag: FLAGS.globalPax, body: paxRecord('path', 'evil') }, file],
    /weights\.bin gets its path from a header for all entries/,
  ],
  'a sparse map for all entries': [
    [{ name: 'g', flag: FLAGS.globalPax, body: paxRecord('GNU.sparse.major', '1') }, file],
    SPARSE,
  ],
  'a path that is given twice': [[pax(['path', 'a'], ['path', 'b']), file], /a has its path twice/],
  'a path that is given in two ways': [
    [{ name: '././@LongLink', flag: FLAGS.gnuLongName, body: 'a\0' }, pax(['path', 'b']), file],
    /a has its path twice/,
  ],
  'an empty path': [[pax(['path', '']), file], /weights\.bin has an empty path in its headers/],
  'a size that is no number': [[pax(['size', '0x7']), file], /weights\.bin has a size that is no number/],
  'a name in another character set': [
    [pax(['hdrcharset', 'ISO-IR 8859 1 1998']), file],
    /weights\.bin has a name in a character set/,
  ],
  'records that do not end': [
    [{ name: 'p', flag: FLAGS.pax, body: '99 path=x\n' }, file],
    /The extended header p is broken/,
  ],
  'records of no length': [
    [{ name: 'p', flag: FLAGS.pax, body: 'path=x\n' }, file],
    /The extended header p is broken/,
  ],
  'a long name with more behind it': [
    [{ name: 'L', flag: FLAGS.gnuLongName, body: 'a\0b' }, file],
    /The long name L is broken/,
  ],
  'a header without its entry': [[file, pax(['path', 'a'])], /an extended header without an entry after it/],
  'a header between another and its entry': [
    [pax(['comment', 'x']), { name: 'g', flag: FLAGS.globalPax, body: paxRecord('comment', 'x') }, file],
    /weights\.bin has a header for all entries between/,
  ],
  'a hard link with bytes': [
    [file, { name: 'b', flag: FLAGS.hardLink, link: 'weights.bin', body: 'x' }],
    /b is a hard link that claims to have bytes/,
  ],
  'a hard link to what is not there': [
    [file, { name: 'b', flag: FLAGS.hardLink, link: 'other' }],
    /b is a hard link to other, which is no file that stands before it in the archive/,
  ],
  'a hard link out of the archive': [
    [file, { name: 'b', flag: FLAGS.hardLink, link: '/etc/passwd' }],
    /\/etc\/passwd is an absolute path/,
  ],
  'a hard link to itself': [
    [{ name: 'b', flag: FLAGS.hardLink, link: 'b' }],
    /b is a hard link to b, which is no file/,
  ],
  'more attributes than are read': [
    [pax(['LIBARCHIVE.xattr.com.apple.ResourceFork', 'x'.repeat(1_100_000)]), file],
    /extended header \.\/PaxHeaders\/weights\.bin has more than 1048576 bytes: .*--no-xattrs/,
  ],
  'a name that is not UTF-8': [
    [{ name: '././@LongLink', flag: FLAGS.gnuLongName, body: Buffer.from('caf\xe9.py\0', 'latin1') }, file],
    /^The entry caf\uFFFD\.py has .* bytes that are not UTF-8 in its name\.$/,
  ],
};

for (const [what, [entries, message]] of Object.entries(NOT_UNDERSTOOD)) {
  test(`Refused is ${what}`, async (t) => await refused(t, rawTarGz(entries), message));
}

test('Owners, times and attributes, as programs write them, are of no matter', async (t) => {
  const keys = [
    ...['atime', 'ctime', 'mtime', 'uid', 'gid', 'uname', 'gname', 'comment'],
    ...['SCHILY.dev', 'SCHILY.ino', 'SCHILY.nlink', 'SCHILY.fflags', 'SCHILY.acl.access', 'SCHILY.acl.ace'],
    ...[
      'SCHILY.xattr.security.capability',
      'LIBARCHIVE.xattr.com.apple.quarantine',
      'LIBARCHIVE.creationtime',
    ],
    'RHT.security.selinux',
  ];
  const all = pax(...keys.map((key) => [key, 'of no matter\nwhatever it is'] as const), [
    'hdrcharset',
    'BINARY',
  ]);
  const commit = {
    name: 'pax_global_header',
    flag: FLAGS.globalPax,
    body: paxRecord('comment', 'f'.repeat(40)),
  };
  const resources = pax(['LIBARCHIVE.xattr.com.apple.ResourceFork', 'x'.repeat(300_000)]);
  const label = { name: 'label', flag: 'V' };
  const archive = rawTarGz([label, commit, all, file, resources, { ...file, name: 'b' }]);
  t.deepEqual(await unpacked(archive), { 'weights.bin': 'weights', b: 'weights' });
});

test('The root folder may stand in the archive in any spelling', async (t) => {
  for (const name of ['.', './', '/', './/', './.', '']) {
    const root = { name, flag: FLAGS.folder };
    t.deepEqual(await unpacked(rawTarGz([root, file])), { 'weights.bin': 'weights' }, `"${name}"`);
    const long = [pax(['path', name === '' ? './' : name]), { name: 'x', flag: FLAGS.folder }, file];
    t.deepEqual(await unpacked(rawTarGz(long)), { 'weights.bin': 'weights' }, `"${name}" by PAX`);
  }
});

test('A hard link becomes a copy, with its executable bit, and counts as one', async (t) => {
  const run = { name: './bin/run', body: 'run', mode: 0o755 };
  const links = ['again', './bin/more'].map((name) => ({ name, flag: FLAGS.hardLink, link: './bin/run' }));
  t.deepEqual(await unpacked(rawTarGz([run, ...links])), {
    'again!': 'run',
    'bin/more!': 'run',
    'bin/run!': 'run',
  });
  const large = { name: 'large', body: Buffer.alloc(3_000_000) };
  await refused(
    t,
    rawTarGz([large, { name: 'b', flag: FLAGS.hardLink, link: 'large' }]),
    /more than 5000000 bytes/,
  );
});

test('Zeros after the end are passed over up to some MiB, and anything else there is refused', async (t) => {
  const one = rawTar([file]);
  for (const zeros of [0, 100, 512, 2 ** 20, 12 * 2 ** 20]) {
    const archive = gzipSync(Buffer.concat([one, Buffer.alloc(zeros)]));
    t.deepEqual(await unpacked(archive), { 'weights.bin': 'weights' }, `${zeros}`);
  }
  await refused(
    t,
    gzipSync(Buffer.concat([one, Buffer.alloc(20 * 2 ** 20)])),
    /more than 16777216 bytes after its end/,
  );
  await refused(t, gzipSync(Buffer.concat([one, rawTar([{ name: 'b' }])])), /goes on after its end/);
  await refused(t, gzipSync(Buffer.concat([one, Buffer.from('x')])), /goes on after its end/);
  t.deepEqual(
    await unpacked(gzipSync(one.subarray(0, -1024))),
    { 'weights.bin': 'weights' },
    'no end at all',
  );
});

test('What is no .tar.gz is called by its name', async (t) => {
  const names: Readonly<Record<string, string>> = {
    'PK\x03\x04': 'a zip archive',
    BZh9: 'compressed with bzip2',
    '\xfd7zXZ\0': 'compressed with xz',
    '(\xb5/\xfd': 'compressed with zstd',
    "7z\xbc\xaf'\x1c": 'a 7z archive',
  };
  for (const [mark, name] of Object.entries(names)) {
    const bytes = Buffer.from(mark + 'x'.repeat(600), 'latin1');
    await refused(t, bytes, new RegExp(`it is ${name}, not compressed with gzip: a \\.tar\\.gz is expected`));
  }
  await refused(t, rawTar([file]), /it is a plain tar archive, not compressed/);
});

const GNU_TAR = isGnuTar();

test('What GNU tar of this machine writes comes right or is refused by name', async (t) => {
  if (!GNU_TAR) return t.log('SKIPPED: there is no GNU tar.');
  await using box = await temporaryFolder();
  const folder = join(box.path, 'algo');
  mkdirSync(join(folder, 'lib'), { recursive: true });
  writeFileSync(join(folder, 'main.py'), 'main', { mode: 0o755 });
  linkSync(join(folder, 'main.py'), join(folder, 'lib', 'z.py'));
  const long = 'n'.repeat(90);
  mkdirSync(join(folder, long));
  writeFileSync(join(folder, long, 'f'), 'f');
  const pack = (...options: readonly string[]) => {
    const target = join(box.path, 'algo.tar.gz');
    execFileSync('tar', [...options, '-czf', target, '-C', folder, '.'], { stdio: 'pipe' });
    return readFileSync(target);
  };
  const all = { 'lib/z.py!': 'main', 'main.py!': 'main', [`${long}/f`]: 'f' };
  for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix']) {
    t.deepEqual(await unpacked(pack(`--format=${format}`)), all, format);
  }
  t.deepEqual(await unpacked(pack('-b', '512')), all, 'large records');
  t.deepEqual(await unpacked(pack('-b', '2048')), all, 'larger records');
  t.deepEqual(await unpacked(pack('--label=mine')), all, 'a label');
  t.deepEqual(
    await unpacked(pack('--format=posix', '--label=mine', '--xattrs', '--acls')),
    all,
    'attributes',
  );
  await refused(t, pack('-g', join(box.path, 'snapshot')), /\.\/ belongs to an incremental backup/);
  writeFileSync(join(folder, 'weights.bin'), 'REALDATA');
  truncateSync(join(folder, 'weights.bin'), 2_000_000);
  for (const [format, version] of [
    ['gnu', '1.0'],
    ['posix', '0.0'],
    ['posix', '0.1'],
    ['posix', '1.0'],
  ]) {
    const archive = pack('-S', `--format=${format}`, `--sparse-version=${version}`);
    await refused(t, archive, /^The entry \.\/weights\.bin is a sparse file/);
  }
});

function isGnuTar(): boolean {
  try {
    return execFileSync('tar', ['--version'], { encoding: 'utf8' }).includes('GNU tar');
  } catch {
    return false;
  }
}
