import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  PICTURE_BOUNDS,
  type PictureAnswer,
  type PictureBatch,
  type PictureSample,
  type PictureSet,
  type PictureSnapshot,
  shardIndex,
} from '@morpheo/common';
import { ArchiveReader } from '@morpheo/service/archive';
import test from 'ava';
import { as, type TestSensory, testOnEngines } from '../testing/open-sensory.ts';
import { numbered, numberOf } from '../testing/pictures.ts';
import { storedTogether } from './lines.ts';

const DICEBOX = as('dicebox');
const SET = { name: 'dice', width: 4, height: 4 };

async function makeSet(dicebox: TestSensory, more: object = {}): Promise<PictureSet> {
  return await dicebox.json(200, '/v1/picture-sets', { ...DICEBOX, body: { ...SET, ...more } });
}

/** Sends lines; numbers are good pictures, of the category of the last digit. */
async function send(
  dicebox: TestSensory,
  set: PictureSet,
  lines: readonly (number | object | string)[],
): Promise<PictureAnswer[]> {
  const texts = lines.map((line) =>
    typeof line === 'string' ? line : JSON.stringify(typeof line === 'number' ? lineOf(line) : line),
  );
  const { items } = await dicebox.json<{ items: PictureAnswer[] }>(
    200,
    `/v1/picture-sets/${set.id}/pictures`,
    {
      body: texts.join('\n'),
      headers: { ...DICEBOX.headers, 'content-type': 'application/x-ndjson' },
    },
  );
  return items;
}

function lineOf(number: number): object {
  const category = `c${number % 10}`;
  return { category, name: `${category}/${number}.png`, data: numbered(number).toString('base64') };
}

const upTo = (count: number) => [...Array(count).keys()];

testOnEngines(
  'Many pictures are stored at once, each is answered, and the same again change nothing',
  async (t, open) => {
    await using dicebox = await open();
    const set = await makeSet(dicebox);
    t.is((await makeSet(dicebox)).id, set.id);
    const lines = [
      0,
      1,
      'no JSON',
      { category: 'a/b', data: '' },
      10,
      '',
      { ...lineOf(2), data: 'aGVsbG8=' },
    ];
    const answers = await send(dicebox, set, lines);
    t.deepEqual(
      answers.map(({ line, status, code }) => [line, status, code]),
      [
        [1, 201, undefined],
        [2, 201, undefined],
        [3, 400, 'invalid_json'],
        [4, 400, 'invalid_request'],
        [5, 201, undefined],
        [7, 400, 'invalid_request'],
      ],
    );
    t.regex(answers[3]?.detail ?? '', /category: should be 1 to 100 characters/);
    t.regex(answers[5]?.detail ?? '', /no picture: send a PNG or a JPEG/);
    const again = await send(dicebox, set, [10, 11, { ...lineOf(12), name: 'c0/0.png' }, 11]);
    t.deepEqual(
      again.map(({ status }) => status),
      [200, 201, 409, 200],
    );
    t.regex(again[2]?.detail ?? '', /another picture called "c0\/0.png"/);
    const now = await dicebox.json<PictureSet>(200, `/v1/picture-sets/${set.id}`, DICEBOX);
    t.is(now.pictures, 4);
    t.deepEqual(now.categories, [
      { name: 'c0', index: 0, pictures: 2 },
      { name: 'c1', index: 1, pictures: 2 },
    ]);
  },
);

testOnEngines(
  'A picture is called what any database can keep, and the others are stored',
  async (t, open) => {
    await using dicebox = await open();
    const set = await makeSet(dicebox);
    const called = (name: string) => ({ ...lineOf(1), name });
    const names = ['a\0', 'b\ud800', 'b\ud801', 'ü/😀.png'];
    const answers = await send(dicebox, set, names.map(called));
    t.deepEqual(
      answers.map(({ status }) => status),
      [400, 400, 400, 201],
    );
    t.regex(answers[0]?.detail ?? '', /name: should be Unicode text without NUL/);
  },
);

test('Of large pictures fewer go to disk together, since their pixels are held until then', (t) => {
  t.is(storedTogether({ width: 28, height: 28, channels: 1 }), 200);
  t.is(storedTogether({ width: 1024, height: 1024, channels: 3 }), 10);
});

testOnEngines('No more pictures are taken at once than the bound says', async (t, open) => {
  await using dicebox = await open();
  const set = await makeSet(dicebox);
  const bad = Array.from({ length: PICTURE_BOUNDS.lines + 5 }, () => '{}');
  const answers = await send(dicebox, set, bad);
  t.is(answers.length, PICTURE_BOUNDS.lines + 1);
  t.like(answers.at(-1), { line: PICTURE_BOUNDS.lines + 1, status: 413, code: 'too_large' });
});

testOnEngines('A set has its own owner, and admins see those of all', async (t, open) => {
  await using dicebox = await open();
  const set = await makeSet(dicebox);
  const sees = async (name: 'dicebox' | 'ann' | 'root') => {
    const list = await dicebox.json<{ items: PictureSet[] }>(200, '/v1/picture-sets', as(name));
    const { status } = await dicebox.ask(`/v1/picture-sets/${set.id}`, as(name));
    return [list.items.length, status];
  };
  t.deepEqual(
    [await sees('dicebox'), await sees('ann'), await sees('root')],
    [
      [1, 200],
      [0, 404],
      [1, 200],
    ],
  );
  t.is((await dicebox.ask('/v1/picture-sets')).status, 401);
  t.is((await dicebox.ask('/v1/picture-sets', { ...DICEBOX, body: { ...SET, channels: 3 } })).status, 409);
});

testOnEngines(
  'A snapshot puts all pictures into shards on storage, which are exported as they came',
  async (t, open) => {
    await using dicebox = await open();
    const set = await makeSet(dicebox);
    const take = async () =>
      await dicebox.json<PictureSnapshot>(200, `/v1/picture-sets/${set.id}/snapshots`, {
        ...DICEBOX,
        method: 'POST',
      });
    t.deepEqual(await take(), { set: set.id, pictures: 0, categories: [], shards: [] });
    await send(dicebox, set, upTo(12));
    const first = await take();
    t.is(first.pictures, 12);
    t.deepEqual(
      first.categories,
      upTo(10).map((digit) => `c${digit}`),
    );
    await send(dicebox, set, [112, 113]);
    const { shards, pictures } = await take();
    t.is(pictures, 14);
    t.deepEqual(
      shards.map((shard) => [shard.first, shard.pictures]),
      [[0, 14]],
    );
    t.not(shards[0]?.resource, first.shards[0]?.resource);
    const { files, index } = await readShard(dicebox, set, 0);
    t.like(index, { version: 1, ...SET, channels: 1, count: 14, first: 0 });
    t.is(files.get('pixels.u8')?.length, 14 * 16);
    for (const [at, file] of index.files.entries()) {
      const number = at < 12 ? at : at + 100;
      t.deepEqual(files.get(file), numbered(number));
      t.is(index.categories[at], `c${number % 10}`);
      t.is(numberOf(files.get('pixels.u8')?.subarray(at * 16) ?? []), number);
    }
    t.is((await dicebox.ask(`/v1/picture-sets/${set.id}/shards/7`, DICEBOX)).status, 404);
    const stored = await dicebox.storage.list({ params: { type: 'data' }, query: {} });
    // The newest first; the small one stays for those who have just taken it.
    t.deepEqual(
      stored.items.map(({ uuid }) => uuid),
      [...shards, ...first.shards].map(({ resource }) => resource),
    );
  },
);

async function readShard(dicebox: TestSensory, set: PictureSet, first: number) {
  const answer = await dicebox.ask(`/v1/picture-sets/${set.id}/shards/${first}`, DICEBOX);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const reader = new ArchiveReader(
    (async function* () {
      yield bytes;
    })(),
    false,
  );
  const files = new Map<string, Buffer>();
  for await (const entry of reader.entries(new AbortController().signal))
    files.set(entry.header.name, await buffer(entry.bytes()));
  return { files, index: shardIndex.parse(JSON.parse(files.get('index.json')?.toString() ?? '')) };
}

testOnEngines(
  'Samples are the same again by their number, the same for the same seed, and another picture each',
  async (t, open) => {
    await using dicebox = await open();
    const set = await makeSet(dicebox);
    await send(dicebox, set, upTo(30));
    const order = async (more: object = {}) =>
      await dicebox.json<PictureBatch>(201, '/v1/batches', {
        ...DICEBOX,
        body: { set: set.id, size: 30, seed: 5, ...more },
      });
    const sample = async (batch: PictureBatch, number: number) =>
      await dicebox.json<PictureSample>(200, `/v1/batches/${batch.id}/samples/${number}`, DICEBOX);
    const all = async (batch: PictureBatch) => await Promise.all(upTo(30).map((n) => sample(batch, n)));
    const batch = await order();
    t.like(batch, { size: 30, noise: 0, seed: 5, pictures: 30, polled: 0 });
    const samples = await all(batch);
    t.deepEqual(
      samples.map(({ picture }) => picture).toSorted((a, b) => a - b),
      upTo(30),
    );
    for (const { picture, pixels, category, index } of samples) {
      t.is(numberOf(Buffer.from(pixels, 'base64')), picture);
      t.deepEqual([category, index], [`c${picture % 10}`, picture % 10]);
    }
    // Pictures that come later, and those that go into shards, change nothing of it.
    await send(dicebox, set, [{ ...lineOf(200), category: 'a new first one' }]);
    await dicebox.json(200, `/v1/picture-sets/${set.id}/snapshots`, { ...DICEBOX, method: 'POST' });
    t.deepEqual(await all(batch), samples);
    const [noisy, sameNoise] = [await order({ noise: 1, size: 20 }), await order({ noise: 1, size: 20 })];
    t.deepEqual(await sample(noisy, 7), await sample(sameNoise, 7));
    t.not((await sample(await order({ seed: 6, size: 20 }), 7)).picture, (await sample(noisy, 7)).picture);
  },
);

testOnEngines(
  'A batch tells what it is, is not there for others, and is forgotten when it is removed',
  async (t, open) => {
    await using dicebox = await open();
    const set = await makeSet(dicebox);
    await send(dicebox, set, [1, 2]);
    const asked = { ...DICEBOX, body: { set: set.id, size: 3 } };
    const refused = await dicebox.json<{ code: string; limit: number }>(400, '/v1/batches', asked);
    t.like(refused, { code: 'invalid_request', limit: 2 });
    const batch = await dicebox.json<PictureBatch>(201, '/v1/batches', {
      ...DICEBOX,
      body: { set: set.id, size: 2 },
    });
    const path = `/v1/batches/${batch.id}`;
    t.is((await dicebox.ask(path, as('ann'))).status, 404);
    t.is((await dicebox.ask(`${path}/samples/2`, DICEBOX)).status, 404);
    t.is((await dicebox.ask('/v1/batches/x', DICEBOX)).status, 400);
    await dicebox.ask('/api/sensory/poll', { body: { batch_id: batch.id } });
    t.is((await dicebox.json<PictureBatch>(200, path, DICEBOX)).polled, 1);
    t.is((await dicebox.ask(path, { ...DICEBOX, method: 'DELETE' })).status, 204);
    t.is((await dicebox.ask(path, DICEBOX)).status, 404);
    t.is((await dicebox.ask(`/v1/batches/${randomUUID()}`, DICEBOX)).status, 404);
  },
);

testOnEngines('A set may be in colours', async (t, open) => {
  await using dicebox = await open();
  const set = await makeSet(dicebox, { channels: 3 });
  await send(dicebox, set, [300]);
  const batch = await dicebox.json<PictureBatch>(201, '/v1/batches', {
    ...DICEBOX,
    body: { set: set.id, size: 1 },
  });
  const { channels, pixels } = await dicebox.json<PictureSample>(
    200,
    `/v1/batches/${batch.id}/samples/0`,
    DICEBOX,
  );
  t.is(channels, 3);
  t.deepEqual([...Buffer.from(pixels, 'base64').subarray(0, 7)], [1, 1, 1, 44, 44, 44, 2]);
});
