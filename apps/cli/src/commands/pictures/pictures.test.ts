import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PicturesContract } from '@morpheo/client/dicebox';
import {
  type Api,
  DICEBOX_SENSORY_V1,
  diceboxContract,
  type NewPicture,
  type PictureSet,
  PlatformError,
  streamOf,
} from '@morpheo/common';
import { type TarEntry, tarOf } from '@morpheo/service/archive';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { serve } from '../../testing/platform.ts';
import { type TemporaryFolder, temporaryFolder } from '../../testing/temporary-folder.ts';

/** The smallest PNG: one grey pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==',
  'base64',
);
const SET = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';

/** A dicebox of a test that keeps pictures in memory, and the environment in which it is found. */
async function fakeDicebox(more: Partial<Api<PicturesContract>> = {}) {
  const stored = new Map<string, NewPicture>();
  const made: { name: string; width: number; height: number; channels?: number | undefined }[] = [];
  const setOf = (): PictureSet => {
    const names = [...new Set([...stored.values()].map(({ category }) => category))].sort((a, b) =>
      a < b ? -1 : 1,
    );
    const { name = 'clothes', width = 1, height = 1 } = made.at(-1) ?? {};
    return {
      ...{ id: SET, owner: 'admin', name, width, height, channels: 1, pictures: stored.size },
      categories: names.map((category, index) => ({ name: category, index, pictures: 1 })),
      created_at: '2026-11-30T00:00:00.000Z',
    };
  };
  const server = await serve(diceboxContract(DICEBOX_SENSORY_V1), {
    async createPictureSet({ body }) {
      made.push(body);
      return setOf();
    },
    listPictureSets: async () => ({ items: made.length === 0 ? [] : [setOf()] }),
    async storePictures({ body }) {
      const pieces = await Array.fromAsync(body.body, (piece) => Buffer.from(piece));
      const text = Buffer.concat(pieces).toString('utf8');
      const lines = text.trim().split('\n');
      const items = lines.map((line, at) => {
        const picture: NewPicture = JSON.parse(line);
        const { name = '', data } = picture;
        if (!Buffer.from(data, 'base64').equals(PNG)) {
          return { line: at + 1, status: 400, code: 'invalid_request' as const, detail: 'not a picture' };
        }
        const status = stored.has(name) ? 200 : 201;
        stored.set(name, picture);
        return { line: at + 1, status };
      });
      return { items };
    },
    takeSnapshot: async () => ({
      ...{ set: SET, pictures: stored.size, categories: [] },
      shards: [{ resource: SET, first: 0, pictures: stored.size }],
    }),
    async getShard() {
      const pictures = [...stored.values()];
      const index = Buffer.from(
        JSON.stringify({
          ...{
            version: 1,
            name: 'clothes',
            width: 1,
            height: 1,
            channels: 1,
            first: 0,
            count: pictures.length,
          },
          categories: pictures.map(({ category }) => category),
          ids: pictures.map(() => '0'.repeat(64)),
          files: pictures.map((_, at) => `pictures/000${at}.png`),
        }),
      );
      const files = [
        { name: 'index.json', content: index },
        ...pictures.map(({ data }, at) => ({
          name: `pictures/000${at}.png`,
          content: Buffer.from(data, 'base64'),
        })),
      ];
      return {
        status: 200,
        headers: { 'content-type': 'application/x-tar' },
        body: streamOf(tarOf(entries(files))),
      };
    },
    ...more,
  });
  const env = {
    MORPHEO_DICEBOX_URL: server.url,
    ...{ MORPHEO_USER: 'admin', MORPHEO_PASSWORD: 'a-secret-of-thirty-two-characters' },
  };
  return {
    ...{ stored, made, env },
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}

async function* entries(
  files: readonly { readonly name: string; readonly content: Buffer }[],
): AsyncGenerator<TarEntry> {
  for (const { name, content } of files) {
    const bytes = async function* () {
      yield content;
    };
    yield { type: 'file', mode: 0o644, name, size: content.byteLength, bytes: bytes() };
  }
}

/** Writes pictures at their paths into a fresh folder. */
async function folderOf(paths: Readonly<Record<string, Buffer | string>>): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  for (const [path, content] of Object.entries(paths)) {
    await mkdir(join(folder.path, path, '..'), { recursive: true });
    await writeFile(folder.file(path), content);
  }
  return folder;
}

test('The pictures of a folder are stored, a folder for each category, and what is there is not stored again', async (t) => {
  await using dicebox = await fakeDicebox();
  await using folder = await folderOf({
    'coat/1.png': PNG,
    'shirt/1.png': PNG,
    'shirt/read.me': 'no picture',
  });
  const argv = ['pictures', 'import', folder.path, '--name', 'clothes'];
  const { stdout, stderr, code } = await morpheo(argv, dicebox);
  t.is(code, 0, stderr);
  t.regex(stdout, /clothes_1x1 {2}2 pictures stored in /);
  t.regex(stderr, /1 file without \.png or \.jpg left out/);
  t.deepEqual([...dicebox.stored.keys()], ['coat/1.png', 'shirt/1.png']);
  t.like(dicebox.made[0], { name: 'clothes', width: 1, height: 1, channels: 1 });
  await copyFile(folder.file('coat/1.png'), folder.file('coat/2.png'));
  const again = await morpheo([...argv, '--json'], dicebox);
  t.like(JSON.parse(again.stdout), { stored: 1, known: 2, refused: 0 });
});

test('A picture that is refused is told with its file, and the others are stored', async (t) => {
  await using dicebox = await fakeDicebox();
  await using folder = await folderOf({ 'a/1.png': PNG, 'a/2.png': 'not a picture', 'b/1.png': PNG });
  const { stdout, stderr, code } = await morpheo(
    ['pictures', 'import', folder.path, '--size', '8x9'],
    dicebox,
  );
  t.is(code, 5);
  t.regex(stdout, /2 pictures stored, 1 refused/);
  t.regex(stderr, /a\/2\.png: invalid_request: not a picture/);
  t.like(dicebox.made[0], { width: 8, height: 9 });
});

test('Folders in the layout of dicebox say name and size by themselves', async (t) => {
  await using dicebox = await fakeDicebox();
  await using folder = await folderOf({
    'dice_100x50/data/1d6_1/a.png': PNG,
    'dice_100x50/data/1d6_2/a.png': PNG,
    'other_8x8/data/x/a.png': PNG,
    'loose.txt': '',
  });
  const both = await morpheo(['pictures', 'import', folder.path], dicebox);
  t.is(both.code, 0, both.stderr);
  t.deepEqual(
    dicebox.made.map(({ name, width, height }) => ({ name, width, height })),
    [
      { name: 'dice', width: 100, height: 50 },
      { name: 'other', width: 8, height: 8 },
    ],
  );
  const one = await morpheo(['pictures', 'import', folder.file('dice_100x50'), '--rgb'], dicebox);
  t.is(one.code, 0, one.stderr);
  t.like(dicebox.made.at(-1), { name: 'dice', channels: 3 });
});

test('A folder that cannot be imported is refused with what is wrong with it', async (t) => {
  await using dicebox = await fakeDicebox();
  await using folder = await folderOf({ 'flat/a.png': PNG, 'empty/x/no.txt': '', 'jpeg/x/a.jpg': 'no PNG' });
  await mkdir(folder.file(`long/${'c'.repeat(120)}`), { recursive: true });
  const said = async (name: string) => await morpheo(['pictures', 'import', folder.file(name)], dicebox);
  const wrong = [
    ['flat', /has no folders.*Put the pictures of each category into a folder of its own/s],
    ['empty', /has no \.png or \.jpg in any of its folders/],
    ['jpeg', /does not say its size.*--size/s],
    ['long', /names a category, which should be 1 to 100 characters/],
    ['away', /is not there/],
  ] as const;
  for (const [name, message] of wrong) {
    const { code, stderr } = await said(name);
    t.is(code, 2, name);
    t.regex(stderr, message);
  }
});

test('A service that restarts is waited for', async (t) => {
  let calls = 0;
  await using dicebox = await fakeDicebox({
    async storePictures() {
      calls += 1;
      if (calls === 1) throw new PlatformError('unavailable', 'The database is starting.');
      return { items: [{ line: 1, status: 201 }] };
    },
  });
  await using folder = await folderOf({ 'a/1.png': PNG });
  const { code, stdout } = await morpheo(['pictures', 'import', folder.path], dicebox);
  t.is(code, 0);
  t.regex(stdout, /1 picture stored/);
});

test('The pictures of a set come back as files, in either layout', async (t) => {
  await using dicebox = await fakeDicebox();
  await using folder = await folderOf({ 'in/coat/1.png': PNG, 'in/shirt/1.png': PNG });
  await morpheo(['pictures', 'import', folder.file('in'), '--name', 'clothes'], dicebox);
  const { code, stdout, stderr } = await morpheo(
    ['pictures', 'export', 'clothes', folder.file('out')],
    dicebox,
  );
  t.is(code, 0, stderr);
  t.regex(stdout, /2 pictures in /);
  const files = async (path: string) =>
    (await readdir(folder.file(path), { recursive: true }))
      .filter((name) => name.endsWith('.png'))
      .sort((one, other) => (one < other ? -1 : 1));
  t.deepEqual(await files('out'), ['coat/0000000.png', 'shirt/0000001.png']);
  t.deepEqual(await readFile(folder.file('out/coat/0000000.png')), PNG);
  const argv = ['pictures', 'export', 'clothes_1x1', folder.file('old'), '--layout', 'dicebox'];
  t.is((await morpheo(argv, dicebox)).code, 0);
  t.true((await files('old')).includes('clothes_1x1/data/coat/0000000.png'));
  t.is((await morpheo(argv, dicebox)).code, 2, 'the folder is there');
  t.is((await morpheo(['pictures', 'export', 'nothing', folder.file('no')], dicebox)).code, 4);
});

test('Sets are listed with what they have', async (t) => {
  await using dicebox = await fakeDicebox();
  t.regex((await morpheo(['pictures', 'list'], dicebox)).stdout, /No pictures yet/);
  await using folder = await folderOf({ 'coat/1.png': PNG, 'shirt/1.png': PNG });
  await morpheo(['pictures', 'import', folder.path, '--name', 'clothes'], dicebox);
  t.regex(
    (await morpheo(['pictures', 'list'], dicebox)).stdout,
    /^clothes_1x1 +grey +2 +2: coat, shirt +admin/m,
  );
});

test('A dicebox is named by a flag, which leaves that of the platform alone', async (t) => {
  await using dicebox = await fakeDicebox();
  const { MORPHEO_DICEBOX_URL: url, ...env } = dicebox.env;
  const named = await morpheo(['pictures', 'list', '--dicebox-url', url], { env });
  t.is(named.code, 0, named.stderr);
  const wrong = await morpheo(['pictures', 'list', '--dicebox-url', 'here'], { env });
  t.regex(wrong.stderr, /--dicebox-url is not an http or https address/);
  const up = await morpheo(['up', '--dicebox', '--home', '/nowhere/at/all', '--', '--help'], { env });
  t.is(up.code, 0, up.stderr);
});

test('Where no dicebox is known, it is said how one is started', async (t) => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await morpheo(['pictures', 'list'], { env: { MORPHEO_HOME: folder.path } });
  t.is(code, 3);
  t.regex(stderr, /morpheo up --dicebox.*MORPHEO_DICEBOX_URL/s);
});
