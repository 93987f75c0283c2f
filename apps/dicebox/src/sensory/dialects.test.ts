import { PICTURE_BOUNDS } from '@morpheo/common';
import { VERSION_OF } from '../testing/open-dicebox.ts';
import { as, type TestSensory, testOnEngines } from '../testing/open-sensory.ts';
import { greyPng, numbered, pngOf } from '../testing/pictures.ts';

const SET = { name: 'dice', width: 4, height: 4 };
const of2017 = { 'API-VERSION': VERSION_OF['2017'] };

async function store(dicebox: TestSensory, category: string, number: number, set = SET): Promise<void> {
  const data = numbered(number).toString('base64');
  await dicebox.json(200, '/api/sensory/store', { body: { ...set, category, data } });
}

/** Stores three sixes and two ones. */
async function storeFive(dicebox: TestSensory): Promise<void> {
  for (const [number, category] of ['1d6_6', '1d6_1', '1d6_6', '1d6_1', '1d6_6'].entries())
    await store(dicebox, category, number);
}

interface Samples {
  readonly labels: number[][];
  readonly data: number[][];
}

interface Polled {
  readonly label: number[] | null;
  readonly data: number[] | null;
}

testOnEngines('Pictures are stored and drawn in the dialect of 2019', async (t, open) => {
  await using dicebox = await open();
  await storeFive(dicebox);
  const map = await dicebox.json(200, '/api/sensory/category');
  t.deepEqual(map, { category_map: { '1d6_1': 0, '1d6_6': 1 } });
  const { labels, data } = await dicebox.json<Samples>(201, '/api/sensory/request', {
    body: { batch_size: 5, noise: 0 },
  });
  const drawn = data.map((values) => (values[0] ?? 0) * 256 + (values[4] ?? 0));
  t.deepEqual(
    drawn.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4],
  );
  for (const [at, number] of drawn.entries()) t.deepEqual(labels[at], number % 2 === 1 ? [1, 0] : [0, 1]);
  const { batch_id } = await dicebox.json<{ batch_id: string }>(202, '/api/sensory/batch', {
    body: { batch_size: 3, noise: 0.0 },
  });
  const polled: Polled[] = [];
  for (let n = 0; n < 4; n += 1)
    polled.push(await dicebox.json(200, '/api/sensory/poll', { body: { batch_id } }));
  t.deepEqual(
    polled.map(({ data }) => data?.length),
    [16, 16, 16, undefined],
  );
  t.deepEqual(polled[3], { label: null, data: null });
  t.is(new Set(polled.map(({ data }) => String(data))).size, 4);
});

testOnEngines('In the dialect of 2017 all of it is 201', async (t, open) => {
  await using dicebox = await open();
  const data = numbered(7).toString('base64');
  const ask = async (path: string, body: object) =>
    await dicebox.json(201, `/api/sensory/${path}`, { body, headers: of2017 });
  t.deepEqual(await ask('store', { ...SET, category: 'one', data }), { sensory_store: true });
  const expected = [0, 4, 8, 12, 7, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
  t.deepEqual(await ask('request', { batch_size: 1, noise: 0 }), { labels: [[1]], data: [expected] });
  const { batch_id } = (await ask('batch', { batch_size: 1, noise: 0 })) as { batch_id: string };
  t.deepEqual(await ask('poll', { batch_id }), { label: [1], data: expected });
  t.deepEqual(await ask('poll', { batch_id }), { label: null, data: null });
});

testOnEngines(
  'A batch that is not known has no samples, and neither has one of somebody else',
  async (t, open) => {
    await using dicebox = await open({
      authenticate: async (field) =>
        field === 'Bearer ann.secret' ? { name: 'ann', roles: ['uploader', 'reader'] } : null,
    });
    await store(dicebox, 'one', 1);
    const body = { batch_size: 1, noise: 0 };
    const { batch_id } = await dicebox.json<{ batch_id: string }>(202, '/api/sensory/batch', { body });
    const nothing = { label: null, data: null };
    const ann = { 'API-ACCESS-KEY': 'ann.secret' };
    for (const id of ['nonsense', '6e249b5f-b483-4e0d-b50b-81d95e3d9a59'])
      t.deepEqual(await dicebox.json(200, '/api/sensory/poll', { body: { batch_id: id } }), nothing);
    t.deepEqual(await dicebox.json(200, '/api/sensory/poll', { body: { batch_id }, headers: ann }), nothing);
    t.not((await dicebox.json<Polled>(200, '/api/sensory/poll', { body: { batch_id } })).data, null);
  },
);

testOnEngines('Sets lie beside one another, and those who name none get the usual one', async (t, open) => {
  await using dicebox = await open({ pictureSet: { name: 'faces', width: 2, height: 3 } });
  const nothing = await dicebox.ask('/api/sensory/category');
  t.is(nothing.status, 400);
  t.regex(await nothing.text(), /There is no set faces_2x3 yet: store pictures first/);
  await storeFive(dicebox);
  await store(dicebox, 'ann', 9, { name: 'faces', width: 2, height: 3 });
  await store(dicebox, 'large', 9, { ...SET, width: 8 });
  const categories = async (query: string) =>
    (await dicebox.json<{ category_map: object }>(200, `/api/sensory/category${query}`)).category_map;
  t.deepEqual(await categories(''), { ann: 0 });
  t.deepEqual(await categories('?name=dice&width=4&height=4'), { '1d6_1': 0, '1d6_6': 1 });
  t.deepEqual(await categories('?name=dice&width=8&height=4'), { large: 0 });
  const body = { ...SET, batch_size: 5, noise: 1 };
  t.is((await dicebox.json<Samples>(201, '/api/sensory/request', { body })).data.length, 5);
  const usual = await dicebox.json<Samples>(201, '/api/sensory/request', {
    body: { batch_size: 1, noise: 0 },
  });
  t.is(usual.data[0]?.length, 6);
});

testOnEngines('Without a usual set, and with several, it has to be said which', async (t, open) => {
  await using dicebox = await open();
  await store(dicebox, 'one', 1);
  await store(dicebox, 'one', 1, { ...SET, name: 'cards' });
  const refused = await dicebox.ask('/api/sensory/batch', { body: { batch_size: 1, noise: 0 } });
  t.is(refused.status, 400);
  t.regex(await refused.text(), /say name, width and height of one of cards_4x4, dice_4x4/);
});

testOnEngines('Asking for more than there is tells how much there is', async (t, open) => {
  await using dicebox = await open();
  await storeFive(dicebox);
  for (const path of ['request', 'batch']) {
    const refused = await dicebox.ask(`/api/sensory/${path}`, { body: { batch_size: 6, noise: 0 } });
    t.is(refused.status, 400);
    t.regex(await refused.text(), /The set dice_4x4 has 5 pictures, and 6 were asked for: ask for 5 at most/);
  }
  const many = { batch_size: PICTURE_BOUNDS.request + 1, noise: 0 };
  t.is((await dicebox.ask('/api/sensory/request', { body: many })).status, 400);
});

testOnEngines('An answer that would not fit into memory is refused with how much does', async (t, open) => {
  await using dicebox = await open();
  const side = PICTURE_BOUNDS.side;
  const set = { name: 'large', width: side, height: side };
  await dicebox.json(200, '/v1/picture-sets', { ...as('dicebox'), body: { ...set, channels: 3 } });
  for (let n = 0; n < 6; n += 1) await store(dicebox, 'one', n, set);
  const refused = await dicebox.ask('/api/sensory/request', { body: { ...set, batch_size: 6, noise: 0 } });
  t.is(refused.status, 400);
  t.regex(await refused.text(), /which are 5 pictures of this set, and 6 were asked for: order a batch/);
});

testOnEngines('Who may only read stores nothing, and orders no training', async (t, open) => {
  const reader = { name: 'ann', roles: ['reader'] } as const;
  await using dicebox = await open({
    serve: ['sensory', 'training'],
    authenticate: async (field) => (field === 'Bearer ann.secret' ? reader : null),
  });
  const headers = { 'API-ACCESS-KEY': 'ann.secret' };
  const body = { ...SET, category: 'one', data: numbered(1).toString('base64') };
  t.is((await dicebox.ask('/api/sensory/store', { body, headers })).status, 403);
  t.is((await dicebox.ask('/api/train/request', { headers })).status, 403);
});

testOnEngines('The id of a batch that no database can keep is refused', async (t, open) => {
  await using dicebox = await open();
  t.is((await dicebox.ask('/api/sensory/poll', { body: { batch_id: 'a\0' } })).status, 400);
});

testOnEngines(
  'What is no picture, or has no category, is refused, and nothing of it is stored',
  async (t, open) => {
    await using dicebox = await open();
    const good = numbered(1);
    const rows: [string, number, RegExp, object][] = [
      ['not a picture', 400, /The bytes are no picture/, { data: Buffer.from('hello').toString('base64') }],
      ['not Base64', 400, /should be the Base64 of a picture/, { data: '***' }],
      ['nothing', 400, /There are no bytes/, { data: '' }],
      ['no text', 400, /body.data/, { data: 5 }],
      [
        'a bomb',
        413,
        /100000 × 100000 pixels/,
        { data: pngOf(100_000, 100_000, Buffer.alloc(9)).toString('base64') },
      ],
      [
        'cut off',
        400,
        /damaged, or cut off/,
        { data: good.subarray(0, good.length - 20).toString('base64') },
      ],
      [
        'rows missing',
        400,
        /damaged, or cut off/,
        { data: pngOf(64, 64, Buffer.alloc(65)).toString('base64') },
      ],
      ['a slash', 400, /The category "a\/b" should be 1 to 100 characters/, { category: 'a/b' }],
      ['upwards', 400, /The category ".." should be/, { category: '..' }],
      ['300 characters', 400, /should be 1 to 100 characters/, { category: 'x'.repeat(300) }],
      ['an empty category', 400, /The category "" should be/, { category: '' }],
      ['no category', 400, /body.category/, { category: undefined }],
      ['a set with a slash', 400, /`name` of the set of pictures/, { name: '../dice' }],
      ['a huge set', 400, /`width` of the set of pictures/, { width: 5000 }],
    ];
    const whole = { ...SET, category: 'one', data: good.toString('base64') };
    for (const [what, status, message, wrong] of rows) {
      const refused = await dicebox.ask('/api/sensory/store', { body: { ...whole, ...wrong } });
      t.is(refused.status, status, what);
      t.regex(await refused.text(), message, what);
    }
    t.deepEqual(await dicebox.json(200, '/v1/picture-sets', as('root')), { items: [] });
    await store(dicebox, 'one', 1);
    const tooMany = await dicebox.ask('/api/sensory/batch', { body: { batch_size: 2, noise: 0 } });
    t.regex(await tooMany.text(), /has 1 picture, and 2 were/);
  },
);

testOnEngines(
  'Noise changes samples, each batch in its own way; without it pictures come as they are',
  async (t, open) => {
    await using dicebox = await open();
    const set = { name: 'bars', width: 20, height: 20 };
    const data = greyPng(20, 20, (at) => (at % 20 < 8 ? 250 : 0)).toString('base64');
    await dicebox.json(200, '/api/sensory/store', { body: { ...set, category: 'bar', data } });
    const drawn = async (noise: number) => {
      const body = { batch_size: 1, noise };
      return String((await dicebox.json<Samples>(201, '/api/sensory/request', { body })).data[0]);
    };
    t.is(await drawn(0), await drawn(0));
    const noisy = new Set([await drawn(1), await drawn(1), await drawn(1), await drawn(0)]);
    t.is(noisy.size, 4);
  },
);
