import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  type Api,
  PlatformError,
  type StorageContract,
  type TrainingRequest,
  type TrainingView,
} from '@morpheo/common';
import test from 'ava';
import sharp from 'sharp';
import { KEY_ROLES } from '../http/keys.ts';
import { MemoryOrders } from '../testing/memory-orders.ts';
import { openDicebox } from '../testing/open-dicebox.ts';
import { TRAINER_DOCKERFILE, TRAINER_ID } from './trainer.ts';

const SET = { name: 'dice', width: 4, height: 4 };

/** A dicebox with pictures of two categories, whose orders are in memory. */
async function openTrainings() {
  const orders = new MemoryOrders();
  const uploads = new Map<
    string,
    { readonly type: string; readonly query: unknown; readonly sha256: string }
  >();
  const storage: Partial<Api<StorageContract>> = {
    get: async ({ params: { uuid } }) => {
      const there = uploads.get(uuid);
      if (there === undefined) throw new PlatformError('not_found', 'There is no such thing.');
      // What else a description has is not looked at.
      return there as unknown as Awaited<ReturnType<Api<StorageContract>['get']>>;
    },
    upload: async ({ params: { type }, query, body }) => {
      const chunks = await Array.fromAsync(body.body as AsyncIterable<Uint8Array>);
      const sha256 = createHash('sha256').update(Buffer.concat(chunks)).digest('hex');
      uploads.set(query.uuid ?? '', { type, query, sha256 });
      return { status: 'stored', uuid: query.uuid ?? '' };
    },
  };
  const dicebox = await openDicebox({
    ...{ serve: ['sensory', 'training'], compute: orders, storage },
    classification: {
      ...{ set: SET, owner: 'service', rule: { adopt: 'manual', margin: 0 } },
      ...{ answerMs: 1000, watchMs: 1000, version: '0.3.0' },
    },
    authenticate: async (field) => (field === 'Bearer ann.secret' ? { name: 'ann', roles: KEY_ROLES } : null),
  });
  const json = async <T>(status: number, ...asked: Parameters<typeof dicebox.ask>): Promise<T> => {
    const answer = await dicebox.ask(...asked);
    const text = await answer.text();
    if (answer.status !== status) throw new Error(`${asked[0]}: ${answer.status} ${text}`);
    return JSON.parse(text) as T;
  };
  const own = { headers: { authorization: 'Bearer ann.secret' } };
  const asAnn = { 'API-ACCESS-KEY': 'ann.secret' };
  return {
    ...{ dicebox, orders, uploads, json },
    ask: async <T>(status: number, path: string, body?: unknown, method?: string) =>
      await json<T>(status, path, { ...own, body, ...(method === undefined ? {} : { method }) }),
    classic: async (version: string, method: string) =>
      await dicebox.ask('/api/train/request', { method, headers: { ...asAnn, 'API-VERSION': version } }),
    store: async (category: string, grey: number) => {
      const picture = sharp(Buffer.alloc(16, grey), { raw: { width: 4, height: 4, channels: 1 } });
      const data = (await picture.png().toBuffer()).toString('base64');
      await json(200, '/api/sensory/store', { body: { ...SET, category, data }, headers: asAnn });
    },
    set: async () =>
      (await json<{ items: { id: string }[] }>(200, '/v1/picture-sets', own)).items[0]?.id ?? '',
    [Symbol.asyncDispose]: async () => await dicebox[Symbol.asyncDispose](),
  };
}

const settingsOf = (orders: MemoryOrders, id: string): Record<string, unknown> => {
  const inline = orders.jobs.get(id)?.inputs?.find(({ path }) => path === '/config/training.json')?.inline;
  return JSON.parse(Buffer.from(inline ?? '', 'base64').toString());
};

test('The trainer is the algorithm of its sources', async (t) => {
  const file = new URL('../../../../programs/picture-trainer/algorithm/Dockerfile', import.meta.url);
  t.is(TRAINER_DOCKERFILE, await readFile(file, 'utf8'));
});

test('A training of the originals is a job that runs the trainer on the pictures that there are', async (t) => {
  await using service = await openTrainings();
  t.is((await service.classic('0.3.0', 'GET')).status, 400, 'no pictures');
  await service.store('one', 10);
  t.is((await service.classic('0.3.0', 'GET')).status, 400, 'one category');
  await service.store('two', 200);
  const answer = await service.classic('0.3.0', 'GET');
  t.is(answer.status, 202);
  const { training_request_id: id } = (await answer.json()) as { training_request_id: string };
  const older = await service.classic('0.2.2', 'POST');
  t.is(older.status, 201);
  t.not(((await older.json()) as { training_request_id: string }).training_request_id, id);
  t.is((await service.classic('0.2.2', 'GET')).status, 405);
  const job = service.orders.jobs.get(id);
  t.like(job, {
    ...{ algo: TRAINER_ID, command: ['train', '/config/training.json'] },
    needs: { labels: { trainer: 'pictures-1' } },
    labels: {
      'dicebox.set': 'dice_4x4',
      'dicebox.owner': 'ann',
      'dicebox.epochs': '3',
      'dicebox.pictures': '2',
    },
  });
  const shards = (job?.inputs ?? []).filter(({ path }) => path.startsWith('/pictures/train/'));
  t.deepEqual(
    shards.map(({ path, unpack }) => ({ path, unpack })),
    [{ path: '/pictures/train/000', unpack: true }],
  );
  for (const { resource } of shards) t.is(service.uploads.get(resource?.uuid ?? '')?.type, 'data');
  t.like(service.uploads.get(TRAINER_ID), { type: 'algo', query: { visibility: 'open' } });
  const settings = settingsOf(service.orders, id);
  t.like(settings, {
    ...{ version: 1, id, network: { preset: 'mlp' }, epochs: 3, batch_size: 8, held_out: 0.25, noise: 0 },
    categories: ['one', 'two'],
  });
  t.true(Number.isSafeInteger(settings.seed));
});

test('A training is one training, however often it is asked for', async (t) => {
  await using service = await openTrainings();
  await service.store('one', 10);
  await service.store('two', 200);
  const set = await service.set();
  const request: TrainingRequest = { id: randomUUID(), set, epochs: 7, target_accuracy: 0.9, seed: 5 };
  const first = await service.ask<TrainingView>(202, '/v1/trainings', request);
  t.like(first, { id: request.id, status: 'todo', network: 'mlp', epochs_wanted: 7, pictures: 2, set });
  t.like(first, { set_name: 'dice_4x4', epochs: [], why: 'No worker is there.' });
  await service.store('two', 210);
  t.deepEqual(await service.ask(202, '/v1/trainings', request), first, 'more pictures change nothing');
  await service.ask(409, '/v1/trainings', { ...request, epochs: 8 });
  t.is(service.orders.jobs.size, 1);
  t.like(settingsOf(service.orders, request.id ?? ''), { seed: 5, epochs: 7, target_accuracy: 0.9 });
  const { items } = await service.ask<{ items: TrainingView[] }>(200, `/v1/trainings?set=${set}`);
  t.deepEqual(
    items.map(({ id }) => id),
    [first.id],
  );
  t.is((await service.dicebox.ask(`/v1/trainings/${first.id}`)).status, 401);
});

test("An order of somebody else that is labelled as a training of ann is in none of ann's lists", async (t) => {
  await using service = await openTrainings();
  await service.store('one', 10);
  await service.store('two', 200);
  const set = await service.set();
  const own = await service.ask<TrainingView>(202, '/v1/trainings', { set });
  const forged = await service.ask<TrainingView>(202, '/v1/trainings', { set });
  service.orders.change(forged.id, { owner: 'mallory' });
  for (const query of ['', `?set=${set}`]) {
    const { items } = await service.ask<{ items: TrainingView[] }>(200, `/v1/trainings${query}`);
    t.deepEqual(
      items.map(({ id }) => id),
      [own.id],
    );
  }
  await service.ask(404, `/v1/trainings/${forged.id}`);
  await service.ask(404, `/v1/trainings/${forged.id}/cancel`, undefined, 'POST');
});

test('A training shows its epochs, the last word on each, and how it has ended', async (t) => {
  await using service = await openTrainings();
  await service.store('one', 10);
  await service.store('two', 200);
  const { id } = await service.ask<TrainingView>(202, '/v1/trainings', { set: await service.set() });
  const line = (epoch: number, accuracy: number, attempt: number) => ({
    attempt,
    line: { epoch, loss: 1 / epoch, accuracy, seconds: 1, engine: 'wasm 4', device: 'CPU', pictures: 2 },
  });
  // The second attempt goes on from the checkpoint of the first epoch.
  service.orders.lines.set(id, [
    line(1, 0.5, 1),
    line(2, 0.9, 1),
    line(1, 0.5, 2),
    line(2, 0.8, 2),
    line(3, 0.8, 2),
  ]);
  service.orders.change(id, { status: 'pending', attempt: 2 });
  const running = await service.ask<TrainingView>(200, `/v1/trainings/${id}`);
  t.deepEqual(
    running.epochs.map(({ epoch, accuracy }) => [epoch, accuracy]),
    [
      [1, 0.5],
      [2, 0.8],
      [3, 0.8],
    ],
  );
  t.like(running, { attempt: 2, best: { epoch: 2, accuracy: 0.8 }, engine: 'wasm 4', device: 'CPU' });
  t.false('why' in running);
  const log_tail = ['Trains.', 'All pictures are alike: store others.', ''];
  service.orders.change(id, {
    status: 'failed',
    failure: { reason: 'exit_code', message: 'It exited with 3.', exit_code: 3, log_tail },
  });
  t.deepEqual((await service.ask<TrainingView>(200, `/v1/trainings/${id}`)).failure, {
    reason: 'exit_code',
    message: 'All pictures are alike: store others.',
  });
  t.like(await service.ask(200, `/v1/trainings/${id}/cancel`, undefined, 'POST'), { status: 'cancelled' });
});

test('What cannot be trained is refused before it is ordered, with what is wrong', async (t) => {
  await using service = await openTrainings();
  await service.store('one', 10);
  await service.store('two', 200);
  const set = await service.set();
  const dense = (more: object) => ({
    ...{ input_shape: [4, 4, 1], output_size: 2, optimizer: 'sgd', layers: [] },
    ...more,
  });
  const conv = {
    type: 'conv2d',
    filters: 2,
    kernel_size: [9, 9],
    strides: [1, 1],
    padding: 'valid',
    activation: 'relu',
  };
  const cases: [object, RegExp][] = [
    [{ network: dense({ optimizer: 'magic' }) }, /The network is no genome: optimizer/],
    [
      { network: dense({ input_shape: [5, 4, 1] }) },
      /is for pictures of 5 × 4 × 1, and these have 4 × 4 × 1/,
    ],
    [{ network: dense({ output_size: 3 }) }, /is for 3 categories, and there are 2/],
    [{ network: dense({ layers: [conv] }) }, /The network cannot be built: /],
    [{ epochs: 0 }, /epochs/],
    [{ held_out: 0.6 }, /held_out/],
    [{ unknown: 1 }, /unknown/i],
  ];
  for (const [more, message] of cases) {
    const { detail, errors } = await service.ask<{ detail: string; errors?: unknown }>(400, '/v1/trainings', {
      set,
      ...more,
    });
    t.regex(`${detail} ${JSON.stringify(errors)}`, message);
  }
  await service.ask(404, '/v1/trainings', { set: randomUUID() });
  await service.ask(404, '/v1/trainings', { set, start: randomUUID() });
  t.is(service.orders.jobs.size, 0);
});
