import { randomUUID } from 'node:crypto';
import type { PicturesContract } from '@morpheo/client/dicebox';
import {
  type Api,
  DICEBOX_SENSORY_V1,
  DICEBOX_TRAINING_V1,
  diceboxContract,
  PlatformError,
  type TrainingView,
} from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { serve } from '../testing/platform.ts';

const SET = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';

/** A dicebox whose trainings have one more epoch each time they are looked at, and the environment in which it is found. */
async function fakeDicebox({ epochs = 3 }: { readonly epochs?: number } = {}) {
  const made = new Map<string, TrainingView>();
  const viewOf = (id: string): TrainingView => {
    const view = made.get(id);
    if (view === undefined) throw new PlatformError('not_found', `There is no training ${id}.`);
    return view;
  };
  const grow = (id: string): TrainingView => {
    const view = viewOf(id);
    const epoch = view.epochs.length + 1;
    if (view.status === 'cancelled' || epoch > epochs) return view;
    const line = {
      epoch,
      loss: 1 / epoch,
      accuracy: epoch / 10,
      seconds: 0.5,
      engine: 'wasm 4',
      device: 'CPU',
      pictures: 2,
    };
    const grown: TrainingView = {
      ...view,
      epochs: [...view.epochs, line],
      status: epoch === epochs ? 'done' : 'pending',
      ...{ best: { epoch, accuracy: epoch / 10 }, engine: 'wasm 4', device: 'CPU' },
    };
    made.set(id, grown);
    return grown;
  };
  const api: Partial<Api<PicturesContract>> = {
    listTrainings: async () => ({ items: [...made.values()], total: made.size }),
    getTraining: async ({ params }) => grow(params.training),
    cancelTraining: async ({ params }) => {
      made.set(params.training, { ...viewOf(params.training), status: 'cancelled' });
      return viewOf(params.training);
    },
  };
  const server = await serve(diceboxContract({ ...DICEBOX_SENSORY_V1, ...DICEBOX_TRAINING_V1 }), api);
  const env = {
    MORPHEO_DICEBOX_URL: server.url,
    ...{ MORPHEO_USER: 'admin', MORPHEO_PASSWORD: 'a-secret-of-thirty-two-characters' },
  };
  const order = (status: TrainingView['status'] = 'todo'): string => {
    const id = randomUUID();
    made.set(id, {
      ...{ id, status, set: SET, set_name: 'clothes_8x8', network: 'mlp', epochs_wanted: 3 },
      ...{ pictures: 2, attempt: 0, created_at: '2026-11-30T00:00:00.000Z', epochs: [] },
    });
    return id;
  };
  return { order, env, [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose]() };
}

test('Trainings are listed, shown with their epochs, and cancelled', async (t) => {
  await using dicebox = await fakeDicebox();
  const said = async (...words: string[]) => await morpheo(['trainings', ...words], { env: dicebox.env });
  t.regex((await said('list')).stdout, /No trainings yet/);
  const id = dicebox.order();
  t.regex((await said('list')).stdout, /todo +clothes_8x8 +2 +mlp +3/);
  const shown = await said('show', id.slice(0, 6));
  t.regex(shown.stdout, /is pending {2}mlp on clothes_8x8, 2 pictures\n/);
  t.regex(shown.stdout, /\n +1 +10\.00 % +█ +1\.000 +0\.50\nbest: 10\.00 % in epoch 1, by wasm 4 \(CPU\)/);
  t.regex((await said('show', id)).stdout, /▁ .*\n.*█ /);
  t.regex((await said('cancel', id)).stdout, /is cancelled/);
  t.is((await said('show', 'fff')).code, 4);
});

test('Whoever watches a training sees each epoch once, and how it has ended', async (t) => {
  await using dicebox = await fakeDicebox({ epochs: 2 });
  const watched = await morpheo(['trainings', 'watch', dicebox.order()], { env: dicebox.env });
  t.is(watched.code, 0, watched.stderr);
  t.regex(watched.stdout, /^epoch 1 of 3.*\nepoch 2 of 3.*\n✓ training .* accuracy 20\.00 % after epoch 2/);
  const again = await morpheo(['trainings', 'watch', dicebox.order('cancelled')], { env: dicebox.env });
  t.is(again.code, 1);
});
