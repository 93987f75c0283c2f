import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDigestField, OUTPUT_LIMITS } from '@morpheo/common';
import { FLAGS, paxRecord, type RawEntry, rawTar } from '@morpheo/service/archive/testing';
import test from 'ava';
import { refused, textOf } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256 } from '../testing/requests.ts';
import { OutputReader } from './output-reader.ts';

const ORDER = id(100);
const OUTPUT = id(200);

const stage = ({ api }: TestStorage, tar: Buffer | string, attempt = 1, pieceBytes = 1000) =>
  api.stageResult({
    params: { order: ORDER, attempt },
    query: { type: 'output', uuid: OUTPUT, owner: 'ann' },
    body: bodyOf(tar, {}, pieceBytes),
  });

const publish = ({ api }: TestStorage, outcome?: 'done' | 'failed') =>
  api.publishResult({ params: { order: ORDER, attempt: 1 }, query: { outcome } });

const FILES: readonly RawEntry[] = [
  { name: './', flag: FLAGS.folder },
  { name: './report.txt', body: 'all is well' },
  { name: 'weights/', flag: FLAGS.folder },
  { name: 'weights/b.bin', body: Buffer.alloc(3000, 'b') },
  { name: 'weights/a.bin', body: Buffer.alloc(700, 'a') },
  { name: 'empty', body: '' },
];

async function openWithOutput(open: () => Promise<TestStorage>, tar = rawTar(FILES)): Promise<TestStorage> {
  const storage = await open();
  await stage(storage, tar);
  await publish(storage);
  return storage;
}

const fileOf = ({ api }: TestStorage, path: string, headers = {}) =>
  api.getOutputFile({ params: { uuid: OUTPUT }, query: { path }, headers });

async function pathsOf({ api }: TestStorage, query: { prefix?: string; limit?: number } = {}) {
  const pages: string[][] = [];
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await api.listOutputFiles({
      params: { uuid: OUTPUT },
      query: { ...query, cursor },
    });
    pages.push(items.map(({ path }) => path));
    if (next === undefined) return pages;
    cursor = next;
  }
}

testOnEngines('The files of an output are listed by path, all or those that begin so', async (t, open) => {
  await using storage = await openWithOutput(open);
  const all = ['empty', 'report.txt', 'weights/a.bin', 'weights/b.bin'];
  t.deepEqual(await pathsOf(storage), [all]);
  t.deepEqual(await pathsOf(storage, { limit: 3 }), [all.slice(0, 3), all.slice(3)]);
  t.deepEqual(await pathsOf(storage, { prefix: 'weights/', limit: 1 }), [[all[2]], [all[3]]]);
  t.deepEqual(await pathsOf(storage, { prefix: 'none' }), [[]]);
  const { items } = await storage.api.listOutputFiles({ params: { uuid: OUTPUT }, query: { prefix: 'r' } });
  t.deepEqual(items, [{ path: 'report.txt', size: 11, sha256: sha256('all is well') }]);
});

testOnEngines(
  'A file of an output is sent by itself, whole or in part, with its own tag',
  async (t, open) => {
    await using storage = await openWithOutput(open);
    const whole = await fileOf(storage, 'weights/b.bin');
    const bytes = 'b'.repeat(3000);
    const etag = `"${sha256(bytes)}"`;
    t.like(whole, {
      status: 200,
      headers: {
        etag,
        'content-length': '3000',
        'content-disposition': 'attachment; filename="b.bin"',
        'repr-digest': formatDigestField(sha256(bytes)),
      },
    });
    t.is(await textOf(whole), bytes);
    const part = await fileOf(storage, 'report.txt', { range: 'bytes=4-5' });
    t.like(part, { status: 206, headers: { 'content-range': 'bytes 4-5/11' } });
    t.is(await textOf(part), 'is');
    t.is((await fileOf(storage, 'weights/b.bin', { 'if-none-match': etag })).status, 304);
    await refused(t, fileOf(storage, 'report.txt', { range: 'bytes=11-' }), 'range_not_satisfiable');
    t.is(await textOf(await fileOf(storage, 'empty')), '');
    const head = await storage.api.headOutputFile({
      params: { uuid: OUTPUT },
      query: { path: 'report.txt' },
      headers: {},
    });
    t.is(head.headers['content-length'], '11');
    t.is(head.body, undefined);
    await refused(t, fileOf(storage, 'weights'), 'not_found', /has no file weights/);
    await refused(t, fileOf(storage, 'weights/a'), 'not_found');
    await refused(t, fileOf(storage, 'weights/z.bin'), 'not_found');
  },
);

testOnEngines('A name of a file that a header cannot hold is said in a second form', async (t, open) => {
  await using storage = await openWithOutput(open, rawTar([{ name: 'a/süß "x".txt', body: 'x' }]));
  const answer = await fileOf(storage, 'a/süß "x".txt');
  t.is(await textOf(answer), 'x');
  t.is(
    answer.headers['content-disposition'],
    `attachment; filename="s____x_.txt"; filename*=UTF-8''s%C3%BC%C3%9F%20%22x%22.txt`,
  );
});

testOnEngines('All files at once are the archive as it came, which may be in parts', async (t, open) => {
  const tar = rawTar(FILES);
  await using storage = await openWithOutput(open, tar);
  const place = { params: { type: 'output', uuid: OUTPUT } } as const;
  t.is(await textOf(await storage.api.getBlob({ ...place, headers: {} })), tar.toString());
  const part = await storage.api.getBlob({ ...place, headers: { range: 'bytes=512-' } });
  t.is(await textOf(part), tar.subarray(512).toString());
});

testOnEngines('The output of a job that failed says so, and an empty one is one', async (t, open) => {
  await using storage = await open();
  await stage(storage, rawTar([]));
  const place = { params: { type: 'output', uuid: OUTPUT } } as const;
  await refused(t, storage.api.get(place), 'not_found');
  t.is((await publish(storage, 'failed')).failed, true);
  t.is((await storage.api.get(place)).failed, true);
  t.is((await publish(storage)).failed, true, 'what it is, its first publication has said');
  t.deepEqual(await pathsOf(storage), [[]]);
});

testOnEngines(
  'A file that is damaged in the store is sent to nobody whole, and its output is marked',
  async (t, open) => {
    const tar = rawTar(FILES);
    await using storage = await openWithOutput(open, tar);
    const digest = sha256(tar);
    const path = join(storage.folder, 'blobs', digest.slice(0, 2), digest);
    const bytes = await readFile(path);
    bytes.write('else', bytes.indexOf('well'));
    await chmod(path, 0o600);
    await writeFile(path, bytes);
    await t.throwsAsync(async () => await textOf(await fileOf(storage, 'report.txt')), { code: 'damaged' });
    await refused(t, fileOf(storage, 'weights/a.bin'), 'damaged');
    await storage.api.stageResult({
      params: { order: id(101), attempt: 1 },
      query: { type: 'output', uuid: id(201) },
      body: bodyOf(tar),
    });
    t.is(await textOf(await fileOf(storage, 'report.txt')), 'all is well');
  },
);

testOnEngines('Who may not read an output sees none of its files', async (t, open) => {
  await using storage = await openWithOutput(open);
  const { api } = storage;
  const bob = { principal: { name: 'bob', roles: ['reader'] } } as const;
  const ask = () => api.listOutputFiles({ params: { uuid: OUTPUT }, query: {} }, bob);
  const file = () =>
    api.getOutputFile({ params: { uuid: OUTPUT }, query: { path: 'empty' }, headers: {} }, bob);
  await refused(t, ask(), 'not_found');
  await refused(t, file(), 'not_found');
  const ann = { principal: { name: 'ann', roles: ['uploader'] } } as const;
  const params = { type: 'output', uuid: OUTPUT } as const;
  await api.setPermissions({ params, body: { grant: ['person:bob'] } }, ann);
  t.is((await ask()).items.length, 4);
  t.is(await textOf(await file()), '');
  await refused(t, api.remove({ params }, bob), 'forbidden');
  await api.remove({ params }, ann);
  await refused(t, ask(), 'not_found');
});

testOnEngines(
  'The list of files stays while something has the archive, and goes with it',
  async (t, open) => {
    await using storage = await openWithOutput(open);
    const { api, database } = storage;
    const pages = async () =>
      (await database.read.selectFrom('output_pages').select('page').execute()).length;
    await api.stageResult({
      params: { order: id(101), attempt: 1 },
      query: { type: 'output', uuid: id(201) },
      body: bodyOf(rawTar(FILES)),
    });
    t.is(await pages(), 1);
    await api.removeResult({ params: { order: ORDER }, query: {} });
    t.is(await pages(), 1);
    await api.discardResults({ params: { order: id(101) }, query: {} });
    t.is(await pages(), 0);
    t.deepEqual(await storage.files(), []);
  },
);

const HOSTILE: Readonly<Record<string, readonly [entries: readonly RawEntry[] | Buffer, message: RegExp]>> = {
  'a link': [[{ name: 'a', flag: FLAGS.symlink, link: '/etc/passwd' }], /a is neither a file nor a folder/],
  'a hard link': [[{ name: 'a' }, { name: 'b', flag: FLAGS.hardLink, link: 'a' }], /b is neither a file/],
  'a device': [[{ name: 'a', flag: FLAGS.characterDevice }], /a is neither a file/],
  'an absolute path': [[{ name: '/etc/x' }], /\/etc\/x is an absolute path/],
  'an absolute folder': [[{ name: '/', flag: FLAGS.folder }], /is an absolute path|is not a plain path/],
  'a path that leads out': [[{ name: 'a/../../x' }], /leads out of its folder/],
  'a control character': [[{ name: 'a\nb' }], /a\\nb has a control character/],
  'no name': [[{ name: '' }], /is not a plain path/],
  'a path that stands twice': [[{ name: 'a' }, { name: './a' }], /stands twice/],
  'a file below a file': [[{ name: 'a' }, { name: 'a/b' }], /a is a folder and a file/],
  'a folder that is a file': [[{ name: 'a/b' }, { name: 'a' }], /a is a folder and a file/],
  'a path that is too deep': [
    [{ name: 'pax', flag: FLAGS.pax, body: paxRecord('path', `${'d/'.repeat(64)}f`) }, { name: 'x' }],
    /deeper than 64/,
  ],
  'a cut': [rawTar(FILES).subarray(0, 3000), /not a whole one/],
  'compressed bytes': [
    Buffer.from('\u001f\u008b'.repeat(600), 'latin1'),
    /A header of the archive is broken/,
  ],
  'few bytes': [Buffer.from('hello'), /a \.tar is expected/],
  'two archives': [
    Buffer.concat([rawTar([{ name: 'a' }]), rawTar([{ name: 'b' }])]),
    /goes on after its end/,
  ],
};

testOnEngines('An archive that is not of files and folders is refused, and not kept', async (t, open) => {
  await using storage = await open();
  for (const [what, [entries, message]] of Object.entries(HOSTILE)) {
    const tar = Buffer.isBuffer(entries) ? entries : rawTar(entries as readonly RawEntry[]);
    for (const pieceBytes of [100, 100_000])
      await refused(t, stage(storage, tar, 1, pieceBytes), 'invalid_upload', message);
    t.deepEqual(await storage.files(), [], what);
  }
  t.deepEqual(await storage.database.read.selectFrom('staged').selectAll().execute(), []);
});

testOnEngines('A file is found among as many as are in several pages of the list', async (t, open) => {
  const names = Array.from({ length: 600 }, (_, n) => `${n}`.padStart(3, '0'));
  await using storage = await openWithOutput(open, rawTar(names.map((name) => ({ name, body: name }))));
  t.deepEqual((await pathsOf(storage, { limit: 255 })).flat(), names);
  for (const path of ['000', '255', '256', '511', '599'])
    t.is(await textOf(await fileOf(storage, path)), path);
  await refused(t, fileOf(storage, '600'), 'not_found');
});

test('An output has as many files and folders, and bytes of paths, as are allowed, and no more', async (t) => {
  const read = async (limits: Partial<typeof OUTPUT_LIMITS>, ...names: string[]) => {
    const reader = new OutputReader({ ...OUTPUT_LIMITS, ...limits });
    for await (const _ of reader.watch(bodyOf(rawTar(names.map((name) => ({ name })))).body));
    return reader.files.map(({ path }) => path);
  };
  t.deepEqual(await read({ files: 3 }, 'd/b', 'a'), ['a', 'd/b']);
  await t.throwsAsync(read({ files: 3 }, 'd/b', 'a', 'c'), { message: /more than 3 files and folders/ });
  await t.throwsAsync(read({ files: 3 }, ...Array.from({ length: 7 }, () => 'd/')), {
    message: /more than 3/,
  });
  await t.throwsAsync(read({ allPathBytes: 3 }, 'd/b'), { message: /more than 3 bytes together/ });
});
