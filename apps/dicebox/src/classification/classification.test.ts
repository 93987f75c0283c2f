import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { type FakeNetwork, FakeTrainings, GREYS } from '../testing/fake-trainings.ts';
import { openDicebox, type TestDicebox, VERSION_OF } from '../testing/open-dicebox.ts';

/** A picture of one grey, in base64 as Python 2 writes it. */
async function picture(grey: number, format: 'png' | 'jpeg' = 'png'): Promise<string> {
  const background = { r: grey, g: grey, b: grey };
  const image = sharp({ create: { width: 40, height: 30, channels: 3, background } });
  const text = (await image.toFormat(format).toBuffer()).toString('base64');
  return `${text.match(/.{1,76}/g)?.join('\n')}\n`;
}

/** A service with networks of trainings, the last of which is in use. */
async function open(t: ExecutionContext, ...networks: readonly FakeNetwork[]) {
  const trainings = new FakeTrainings();
  const { compute, storage } = trainings;
  const ids = networks.map((network) => trainings.train(network));
  const dicebox = await openDicebox({ compute, storage, authenticate: async () => ANY });
  t.teardown(async () => await dicebox[Symbol.asyncDispose]());
  await eventually(t, async (is) => {
    const all = await networksOf(dicebox);
    is.is(all.find(({ state }) => state === 'current')?.training, ids.at(-1));
  });
  return { trainings, dicebox, ids };
}

const ANY = { name: 'ada', roles: ['admin' as const] };
const KNOWN = { headers: { authorization: 'Basic YWRhOmFkYQ==' } };

async function networksOf(
  dicebox: TestDicebox,
): Promise<{ training: string; state: string; reason?: string }[]> {
  return (await (await dicebox.ask('/v1/networks', KNOWN)).json()).items;
}

async function answerOf(response: Response) {
  return { status: response.status, body: await response.json() };
}

const OF_DIALECTS = [
  ['2017', 201],
  ['2019', 200],
] as const;

for (const [dialect, status] of OF_DIALECTS) {
  const headers = { 'API-VERSION': VERSION_OF[dialect] };

  test(`In the dialect of ${dialect} a picture is classified, and the categories are told by both paths`, async (t) => {
    const { dicebox } = await open(t, {});
    for (const [grey, index] of [
      [0, 0],
      [100, 1],
      [255, 3],
    ] as const) {
      const asked = dicebox.ask('/api/classify', { body: { data: await picture(grey) }, headers });
      t.deepEqual(await answerOf(await asked), { status, body: { classification: index } });
    }
    const jpeg = dicebox.ask('/api/classify', { body: { data: await picture(140, 'jpeg') }, headers });
    t.deepEqual(await answerOf(await jpeg), { status, body: { classification: 2 } });
    for (const path of ['/api/category', '/api/categories']) {
      t.deepEqual(await answerOf(await dicebox.ask(path, { headers })), {
        status,
        body: { category_map: { 0: 'black', 1: 'dark', 2: 'light', 3: 'white' } },
      });
    }
  });

  test(`In the dialect of ${dialect} the answer is -1 where no network can be asked, and a page of HTML for no picture`, async (t) => {
    const { trainings, dicebox } = await open(t, {});
    trainings.faults.push(async () => {
      throw new PlatformError('call_failed', 'The weights cannot be read.');
    });
    const data = await picture(0);
    t.deepEqual(await answerOf(await dicebox.ask('/api/classify', { body: { data }, headers })), {
      ...{ status, body: { classification: -1 } },
    });
    for (const body of [{ data: Buffer.from('no picture').toString('base64') }, { data: '!' }, {}]) {
      const refused = await dicebox.ask('/api/classify', { body, headers });
      t.deepEqual([refused.status, refused.headers.get('content-type')], [400, 'text/html; charset=utf-8']);
    }
    await using empty = await openDicebox({ ...new FakeTrainings() });
    t.deepEqual(await answerOf(await empty.ask('/api/classify', { body: { data }, headers })), {
      ...{ status, body: { classification: -1 } },
    });
    t.deepEqual(await answerOf(await empty.ask('/api/category', { headers })), {
      ...{ status, body: { category_map: {} } },
    });
  });
}

test('Our own route tells all probabilities, the network with its digest and accuracy, and how long it took', async (t) => {
  const { dicebox, ids, trainings } = await open(t, { accuracy: 0.875 });
  const asked = await dicebox.ask('/v1/classify', { body: { data: await picture(255) }, ...KNOWN });
  const { status, body } = await answerOf(asked);
  t.is(status, 200);
  t.like(body, { category: 'white', index: 3, network: { training: ids[0], accuracy: 0.875 } });
  t.regex(body.network.digest, /^[0-9a-f]{64}$/);
  t.deepEqual(
    body.probabilities.map(({ category }: { category: string }) => category),
    GREYS,
  );
  t.is(body.probabilities[3].probability, 0.75);
  t.true(body.ms > 0);
  t.true(trainings.calls.length >= 2);
});

test('Our own route never answers -1: each refusal has its code and its reason', async (t) => {
  const { trainings, dicebox } = await open(t, {});
  const data = await picture(0);
  const refusals = [
    [new PlatformError('call_failed', 'The weights cannot be read.'), 422, 'call_failed'],
    [new PlatformError('unavailable', 'Its worker is gone.'), 503, 'unavailable'],
    [new PlatformError('deadline_passed', 'It ran too long.'), 504, 'deadline_passed'],
  ] as const;
  for (const [error, status, code] of refusals) {
    const broken = async () => {
      throw error;
    };
    trainings.faults.push(broken, broken);
    const { body, ...answered } = await answerOf(
      await dicebox.ask('/v1/classify', { body: { data }, ...KNOWN }),
    );
    t.deepEqual(
      { ...answered, code: body.code, detail: body.detail },
      { status, code, detail: error.message },
    );
    trainings.faults.length = 0;
  }
  await using empty = await openDicebox({ ...new FakeTrainings(), authenticate: async () => ANY });
  const none = await answerOf(await empty.ask('/v1/classify', { body: { data }, ...KNOWN }));
  t.like(none, { status: 409, body: { code: 'wrong_state' } });
  t.regex(none.body.detail, /No network is in use yet/);
});

test('Of networks each tells how it stands and why, and a training that is named is adopted or refused with a reason', async (t) => {
  const { trainings, dicebox, ids } = await open(t, { accuracy: 0.8 });
  const worse = trainings.train({ accuracy: 0.5 });
  await eventually(t, async (is) => is.is((await networksOf(dicebox))[0]?.state, 'refused'));
  const adopt = async (body: object) => await answerOf(await dicebox.ask('/v1/networks', { body, ...KNOWN }));
  t.like(await adopt({ training: worse }), { status: 202, body: { state: 'warming', accuracy: 0.5 } });
  await eventually(t, async (is) =>
    is.like((await networksOf(dicebox))[0], { training: worse, state: 'current' }),
  );
  const refuse = async (id: string, body: object) =>
    await answerOf(await dicebox.ask(`/v1/networks/${id}/refuse`, { body, ...KNOWN }));
  t.like(await refuse(ids[0] ?? '', { reason: 'It knows no boots.' }), {
    ...{ status: 200, body: { state: 'refused', reason: 'It knows no boots.' } },
  });
  t.like(await refuse(worse, { reason: 'No.' }), { status: 409, body: { code: 'wrong_state' } });
  t.like(await refuse(worse, {}), { status: 400, body: { code: 'invalid_request' } });
});

test('What is no network of this set is not adopted, and the reason is told', async (t) => {
  const { trainings, dicebox } = await open(t, {});
  const adopt = async (training: string) =>
    await answerOf(await dicebox.ask('/v1/networks', { body: { training }, ...KNOWN }));
  const rows = [
    [randomUUID(), 404, 'not_found', /no such order/],
    [
      trainings.train({ set: 'others' }),
      404,
      'not_found',
      /is a training on the set others; networks of greys_4x4 are used here/,
    ],
    [trainings.train({ status: 'failed' }), 409, 'wrong_state', /is failed: it has no result/],
    [trainings.train({ status: 'pending' }), 409, 'wrong_state', /is pending/],
    [
      trainings.train({ files: { 'network/weights.bin': Buffer.alloc(8) } }),
      ...[409, 'wrong_state', /another digest/],
    ],
    [trainings.train({ categories: ['cat', 'dog'] }), 409, 'conflict', /its categories are cat, dog/],
  ] as const;
  for (const [training, status, code, detail] of rows) {
    const answered = await adopt(training);
    t.like(answered, { status, body: { code } });
    t.regex(answered.body.detail, detail as RegExp);
  }
});

test('A key is asked for, but for the page', async (t) => {
  await using dicebox = await openDicebox({ ...new FakeTrainings() });
  for (const path of ['/v1/networks', '/v1/classify']) {
    const refused = await dicebox.ask(path, path === '/v1/classify' ? { body: { data: '' } } : {});
    t.is(refused.status, 401);
  }
  t.is((await dicebox.ask('/', { headers: { 'API-ACCESS-KEY': undefined } })).status, 200);
});
