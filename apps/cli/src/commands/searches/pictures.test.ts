import type { PicturesContract } from '@morpheo/client/dicebox';
import {
  type Api,
  DICEBOX_SEARCH_V1,
  DICEBOX_SENSORY_V1,
  diceboxContract,
  type NetworkSearchRequest,
  type PictureSet,
} from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { serve } from '../../testing/platform.ts';

const SET = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
const TEST_SET = '0b8f1f5e-0b1d-4f0c-9f8e-2b6d1f7c0a22';

function aSet(id: string, name: string): PictureSet {
  return {
    ...{ id, owner: 'admin', name, width: 28, height: 28, channels: 1, pictures: 70, categories: [] },
    created_at: '2026-11-30T00:00:00.000Z',
  };
}

test('A search for networks is asked for by the name of its pictures', async (t) => {
  const asked: NetworkSearchRequest[] = [];
  const api: Partial<Api<PicturesContract>> = {
    listPictureSets: async () => ({ items: [aSet(SET, 'clothes'), aSet(TEST_SET, 'others')] }),
    async searchNetworks({ body }) {
      asked.push(body);
      return {
        ...{ uuid: body.uuid, owner: 'dicebox', group: 'g', status: 'running', strategy: 'random' },
        ...{ goal: 'maximize', trials: 0, orders: 0, ended: 0, created_at: '2026-11-30T00:00:00.000Z' },
        ...{ seed: 7, budget: { trials: 9 }, parallel: 2, used: 0, rungs: [], running: [] },
      };
    },
  };
  await using server = await serve(diceboxContract({ ...DICEBOX_SENSORY_V1, ...DICEBOX_SEARCH_V1 }), api);
  const env = {
    MORPHEO_DICEBOX_URL: server.url,
    ...{ MORPHEO_USER: 'admin', MORPHEO_PASSWORD: 'a-secret-of-thirty-two-characters' },
  };
  const call = async (...flags: string[]) =>
    await morpheo(['search', 'pictures', '--detach', '--set', ...flags], { env });
  const first = await call('clothes', '--seed', '7', '--control', '--test-set', 'others', '--convolutions');
  t.is(first.code, 0, first.stderr);
  t.like(asked[0], {
    set: SET,
    test_set: TEST_SET,
    seed: 7,
    control: true,
    parallel: 2,
    budget: { trials: 30 },
  });
  t.deepEqual(asked[0]?.networks?.layer_types, ['dense', 'dropout', 'conv2d', 'max_pooling2d']);
  t.true(first.stdout.includes(asked[0]?.uuid ?? '-'));
  t.is((await call('clothes', '--epochs', '100', '--strategy', 'dicebox')).code, 0);
  t.like(asked[1], { budget: { resource: 100 }, strategy: { name: 'dicebox' }, networks: undefined });
  t.is((await call('trousers')).code, 4);
  for (const strategy of ['foo', 'grid']) {
    const refused = await call('clothes', '--strategy', strategy);
    t.is(refused.code, 2);
    t.regex(refused.stderr, /'--strategy <name>' .* Allowed choices are aging-evolution, dicebox, random\./);
  }
  t.is(asked.length, 2);
  const long = await call('clothes', '--name', 'x'.repeat(300));
  t.is(long.code, 2);
  t.regex(long.stderr, /This is no search: name: /);
});
