import { withParts } from '@morpheo/real-parts';
import { sharedPostgres } from '@morpheo/service/database/testing';
import ava from 'ava';
import type { StoredBlob } from '../blobs/index.ts';
import { id, sha256, sorted } from '../testing/requests.ts';
import { openTwo, successes } from '../testing/two-services.ts';
import { addResource, changeProblem, removeResource } from './resources.ts';
import { discardResults, publishResult, stageResult } from './staged.ts';

const test = withParts(ava.serial, 'postgres');
const postgres = sharedPostgres(ava);

const blob = (text: string) => ({ digest: sha256(text), size: text.length });

test('Of two services that store under one id one succeeds', async (t) => {
  await using two = await openTwo(postgres);
  for (let round = 0; round < 20; round++) {
    const calls = Array.from({ length: 4 }, (_, index) =>
      addResource(two.service(index), { type: 'data', uuid: id(round) }, blob(`${round} ${index}`)),
    );
    t.is(await successes(calls), 1);
  }
});

test('An algo is not deleted by one service while the other stores a model of it', async (t) => {
  await using two = await openTwo(postgres);
  for (let round = 0; round < 40; round++) {
    const [algo, model] = [id(2 * round), id(2 * round + 1)];
    await addResource(two.service(0), { type: 'algo', uuid: algo }, blob('algo'));
    const calls = [
      addResource(two.service(0), { type: 'model', uuid: model, algo }, blob('model')),
      removeResource(two.service(1), 'algo', algo),
    ];
    t.is(await successes(calls), 1);
  }
});

test('Of the results of an order one is published, whoever is asked', async (t) => {
  await using two = await openTwo(postgres);
  for (let round = 0; round < 20; round++) {
    const order = id(round);
    for (const attempt of [1, 2]) {
      const result = { order, attempt, type: 'prediction', uuid: id(1000 * attempt + round) } as const;
      await stageResult(two.service(attempt), result, blob(`${round} ${attempt}`));
    }
    const calls = [0, 1, 2, 3].map((index) => publishResult(two.service(index), order, 1 + (index >> 1)));
    t.is(await successes(calls), 2);
  }
  const rows = await two.database.read.selectFrom('resources').select('order_id').execute();
  t.is(rows.length, 20);
  t.is(new Set(rows.map((row) => row.order_id)).size, 20);
});

test('Who changes, publishes and deletes things of its own waits for nobody in a circle, whatever bytes they share', async (t) => {
  t.timeout(300_000);
  await using two = await openTwo(postgres);
  const blobs = ['a', 'b', 'c'].map(blob);
  const some = (): StoredBlob => blobs[Math.floor(Math.random() * blobs.length)] ?? blob('a');
  const act = async (index: number): Promise<number> => {
    const service = two.service(index);
    const result = (attempt: number) =>
      ({ order: id(index), attempt, type: 'prediction', uuid: id(1000 + index) }) as const;
    const own = id(2000 + index);
    const acts = [
      () => addResource(service, { type: 'problem', uuid: own }, some()),
      () => changeProblem(service, own, { blob: some() }),
      () => changeProblem(service, own, { blob: some() }),
      () => stageResult(service, result(1), some()),
      () => stageResult(service, result(1), some()),
      () => stageResult(service, result(2), some()),
      () => publishResult(service, id(index), 2),
      () => removeResource(service, 'prediction', id(1000 + index)),
      () => removeResource(service, 'problem', own),
    ];
    for (let round = 0; round < 5; round++) {
      for (const one of acts) await successes([one()]);
    }
    return 5 * acts.length;
  };
  const acts = await Promise.all(Array.from({ length: 10 }, async (_, index) => await act(index)));
  const asked = acts.reduce((sum, count) => sum + count, 0);
  t.deepEqual(two.counts, { writes: asked, again: 0 });
});

test('Whatever two services add and delete at once, blobs are those that are referred to', async (t) => {
  t.timeout(300_000);
  await using two = await openTwo(postgres);
  const act = async (index: number): Promise<void> => {
    const service = two.service(index);
    for (let round = 0; round < 25; round++) {
      const [uuid, bytes] = [id(Math.floor(Math.random() * 6)), blob(`${Math.floor(Math.random() * 3)}`)];
      const order = { order: uuid, attempt: 1, type: 'prediction', uuid } as const;
      const acts = [
        () => addResource(service, { type: 'problem', uuid }, bytes),
        () => addResource(service, { type: 'problem', uuid }, bytes),
        () => removeResource(service, 'problem', uuid),
        () => changeProblem(service, uuid, { blob: bytes }),
        () => stageResult(service, order, bytes),
        () => discardResults(service, uuid),
      ];
      await successes([acts[Math.floor(Math.random() * acts.length)]?.() ?? Promise.resolve()]);
    }
  };
  await Promise.all(Array.from({ length: 10 }, async (_, index) => await act(index)));
  const { read } = two.database;
  const kept = await read.selectFrom('blobs').select('sha256').execute();
  const referred = await read
    .selectFrom('resources')
    .select('sha256')
    .union(read.selectFrom('staged').select('sha256'))
    .execute();
  t.deepEqual(sorted(kept.map((row) => row.sha256)), sorted(referred.map((row) => row.sha256)));
});
