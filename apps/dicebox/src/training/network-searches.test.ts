import { randomUUID } from 'node:crypto';
import { PlatformError, type Search, type SearchView } from '@morpheo/common';
import test from 'ava';
import sharp from 'sharp';
import { KEY_ROLES } from '../http/keys.ts';
import { openDicebox } from '../testing/open-dicebox.ts';
import { TRAINER_ID } from './trainer.ts';

const SET = { name: 'dice', width: 4, height: 4 };

test('A search for a network is one of trainings on the pictures that there are', async (t) => {
  const posted: Search[] = [];
  const dataSets: string[] = [];
  await using dicebox = await openDicebox({
    serve: ['sensory', 'training'],
    authenticate: async (field) => (field === 'Bearer ann.secret' ? { name: 'ann', roles: KEY_ROLES } : null),
    compute: {
      getQueue: async () => ({ paused: false, counts: {} }),
      postSearch: async ({ body }) => {
        posted.push(body);
        // What else a view has is handed on as it is.
        return aView(body.uuid);
      },
    },
    storage: {
      get: async () => {
        throw new PlatformError('not_found', 'There is no such thing.');
      },
      upload: async ({ params: { type }, query, body }) => {
        await Array.fromAsync(body.body as AsyncIterable<Uint8Array>);
        if (type === 'data') dataSets.push(query.uuid ?? '');
        return { status: 'stored', uuid: query.uuid ?? '' };
      },
    },
  });
  const headers = { authorization: 'Bearer ann.secret' };
  const ask = async (path: string, body?: unknown) => {
    const answer = await dicebox.ask(path, { headers, ...(body === undefined ? {} : { body }) });
    return { status: answer.status, body: JSON.parse(await answer.text()) };
  };
  for (const [category, grey] of [
    ['one', 10],
    ['two', 200],
  ] as const) {
    const picture = sharp(Buffer.alloc(16, grey), { raw: { width: 4, height: 4, channels: 1 } });
    const data = (await picture.png().toBuffer()).toString('base64');
    await dicebox.ask('/api/sensory/store', {
      body: { ...SET, category, data },
      headers: { 'API-ACCESS-KEY': 'ann.secret' },
    });
  }
  const { id: set } = (await ask('/v1/picture-sets')).body.items[0];
  const uuid = randomUUID();
  const request = { uuid, set, seed: 7, parallel: 2, budget: { trials: 9 }, networks: { max_layers: 3 } };
  const { status, body } = await ask('/v1/searches', { ...request, batch_size: 16 });
  t.is(status, 202, JSON.stringify(body));
  t.is(body.uuid, uuid);
  const [search] = posted;
  t.like(search, { uuid, seed: 7, rungs: [1, 3, 9], previous: '/start', resource: { member: 'epochs' } });
  t.deepEqual(search?.space, {
    network: { kind: 'network', max_layers: 3, input_shape: [4, 4, 1], output_size: 2 },
  });
  t.like(search?.job, { algo: TRAINER_ID, command: ['train', '/config/training.json'] });
  t.deepEqual(search?.job?.inputs, [
    { path: '/pictures/train/000', resource: { type: 'data', uuid: dataSets[0] }, unpack: true },
  ]);
  t.like(search?.job?.labels, { 'dicebox.training': 'request', 'dicebox.set': 'dice_4x4' });
  const template = { version: 1, seed: 1, batch_size: 16, categories: ['one', 'two'] };
  t.like(search?.parameters, { path: '/config/training.json', template });
  t.is(search?.parameters.template?.epochs, undefined);
  const generations = { ...request, uuid: randomUUID(), strategy: { name: 'dicebox' } };
  t.is((await ask('/v1/searches', generations)).status, 202);
  t.deepEqual(posted[1]?.rungs, [9]);
  t.is((await ask('/v1/searches', { ...request, set: randomUUID() })).status, 404);
  t.is((await ask('/v1/searches', { ...request, space: {} })).status, 400);
});

function aView(uuid: string): SearchView {
  return {
    ...{ uuid, owner: 'dicebox', group: `search-${uuid}`, status: 'running', strategy: 'aging-evolution' },
    ...{ goal: 'maximize', trials: 0, orders: 0, ended: 0, created_at: '2026-11-30T00:00:00.000Z' },
    ...{ seed: 7, budget: { trials: 9 }, parallel: 2, used: 0, rungs: [], running: [] },
  };
}
