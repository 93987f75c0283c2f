import { measured, type PinRequest } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import { sharedPostgres } from '@morpheo/service/database/testing';
import ava from 'ava';
import type { StoredBlob } from '../blobs/index.ts';
import { addResource, changeProblem, removeResource } from '../metadata/resources.ts';
import { discardExpired, discardResults, publishResult, stageResult } from '../metadata/staged.ts';
import { createPeopleRights } from '../people/rights.ts';
import { textOf } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { ANN, attemptOf, learnRequest, NAMED, pin, uploadNamed } from '../testing/pins.ts';
import { bodyOf, formOf, id, sha256, sorted } from '../testing/requests.ts';
import { openTwo, successes } from '../testing/two-services.ts';
import { pinOrders } from './pin.ts';

const test = withParts(ava.serial, 'postgres');
const postgres = sharedPostgres(ava);

testOnEngines(
  'Whatever is changed, deleted and collected while an order is pinned: it has all its bytes, or is refused',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage({ orphanGraceMs: 0 });
    const { api } = storage;
    await uploadNamed(storage);
    const kinds = new Set<string>();
    for (let round = 1; round <= 12; round++) {
      const data = id(100 + round);
      await api.upload(
        { params: { type: 'data' }, query: { uuid: data }, body: bodyOf(`data ${round}`) },
        ANN,
      );
      const uses: PinRequest['uses'] = [...learnRequest(1).uses, { type: 'data', uuid: data, as: 'train' }];
      const pinning = pin(storage, learnRequest(round, { uses }));
      // At times the order is certain to come first: which of the two does is else the engine's own.
      const isFirst = round % 3 === 0;
      const removal = async () => await api.remove({ params: { type: 'data', uuid: data } });
      await Promise.all([
        pinning,
        isFirst ? pinning.then(removal) : removal(),
        api.patchProblem({
          params: { uuid: NAMED.problem },
          body: formOf(['size', '1'], ['blob', `problem ${round}`]),
        }),
        storage.sweep(),
      ]);
      await storage.sweep();
      const answer = await pinning;
      kinds.add(answer.outcome);
      if (answer.outcome !== 'pinned') {
        t.false(isFirst);
        const missing = [{ type: 'data', uuid: data }];
        t.like(answer, { outcome: 'refused', reason: 'input_not_found', missing });
        continue;
      }
      const attempt = attemptOf(answer);
      for (const uuid of [NAMED.train, NAMED.test, data])
        await textOf(await api.getDataBlob({ params: { uuid }, headers: {} }, attempt));
      const problem = { type: 'problem', uuid: NAMED.problem } as const;
      const bytes = await textOf(await api.getBlob({ params: problem, headers: {} }, attempt));
      t.is(measured(await api.get({ params: problem }, attempt)).sha256, sha256(bytes));
    }
    t.log([...kinds].join(', '));
  },
);

testOnEngines('Of an upload and a pin that want one id, one gets it', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await uploadNamed(storage);
  for (let number = 1; number <= 12; number++) {
    const query = { algo: NAMED.algo, uuid: id(2000 + number) };
    const [answer, uploads] = await Promise.all([
      pin(storage, learnRequest(number)),
      successes([0, 1].map(() => storage.api.uploadModel({ query, body: bodyOf(`${number}`) }, ANN))),
    ]);
    t.is(uploads + (answer.outcome === 'pinned' ? 1 : 0), 1);
    if (answer.outcome === 'refused') t.is(answer.reason, 'invalid_result');
  }
  t.deepEqual(
    await storage.database.read
      .selectFrom('reserved_ids')
      .select('uuid')
      .where('order_id', '=', '')
      .execute(),
    [],
  );
});

testOnEngines('An order that is pinned several times at once is pinned once', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await uploadNamed(storage);
  for (let number = 1; number <= 6; number++) {
    const answers = await Promise.all([0, 1, 2, 3].map(() => pin(storage, learnRequest(number))));
    for (const answer of answers) t.deepEqual(answer, answers[0]);
  }
  const { length } = await storage.database.read.selectFrom('pin_members').selectAll().execute();
  t.is(length, 6 * 3);
});

testOnEngines('An order that ends while it is pinned is pinned to nobody', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await uploadNamed(storage);
  for (let number = 1; number <= 12; number++) {
    const { order } = learnRequest(number);
    await Promise.all([
      pin(storage, learnRequest(number)),
      storage.api.discardResults({ params: { order }, query: { round: 1 } }),
    ]);
  }
  for (const table of ['pin_sets', 'pin_members', 'pinned', 'reserved_ids'] as const)
    t.deepEqual(await storage.database.read.selectFrom(table).selectAll().execute(), [], table);
});

test('Whoever pins, ends, changes and deletes at once waits for nobody in a circle, and blobs are those that are referred to', async (t) => {
  t.timeout(300_000);
  await using two = await openTwo(postgres);
  const rules = {
    people: createPeopleRights(() => ['admin']),
    rules: { legacy: 'open', anonymousGrants: 'open' },
    outputsOpen: false,
  } as const;
  const blobs = ['a', 'b', 'c', 'd'].map((text) => ({ digest: sha256(text), size: text.length }));
  const some = (): StoredBlob => blobs[Math.floor(Math.random() * blobs.length)] ?? { digest: '', size: 0 };
  const database = two.service(0);
  await addResource(database, { type: 'algo', uuid: NAMED.algo, owner: 'ann' }, some());
  const act = async (index: number): Promise<number> => {
    const service = two.service(index);
    const [own, data, shared] = [id(3000 + index), id(4000 + index), id(5000 + (index % 2))];
    const uses: PinRequest['uses'] = [
      { type: 'problem', uuid: own, as: 'problem' },
      { type: 'algo', uuid: NAMED.algo, as: 'algo' },
      { type: 'data', uuid: data, as: 'train' },
      { type: 'data', uuid: shared, as: 'train' },
      { type: 'data', uuid: shared, as: 'test' },
    ];
    let asked = 0;
    for (let round = 1; round <= 5; round++) {
      const requests = [3 * index, 3 * index + 1, 3 * index + 2].map((n) => learnRequest(n, { round, uses }));
      const [first, second] = requests.map(({ order, produces }) => ({ order, produces }));
      if (first === undefined || second === undefined) return t.fail('there are three');
      const result = {
        order: first.order,
        attempt: round,
        ...first.produces,
        algo: NAMED.algo,
        owner: 'ann',
      } as const;
      const acts = [
        () => addResource(service, { type: 'data', uuid: shared, owner: 'ann' }, some()),
        () => addResource(service, { type: 'problem', uuid: own, owner: 'ann' }, some()),
        () => addResource(service, { type: 'data', uuid: data, owner: 'ann' }, some()),
        () => pinOrders(service, rules, requests.toReversed()),
        () => changeProblem(service, own, { blob: some() }),
        () => stageResult(service, result, some()),
        () => removeResource(service, 'data', data),
        () => discardResults(service, first.order, round),
        () => discardResults(service, second.order, round),
        () => pinOrders(service, rules, requests),
        () => removeResource(service, 'data', shared),
        () => removeResource(service, 'problem', own),
        () => discardExpired(service, 3_600_000),
      ];
      for (const one of acts) await successes([one()]);
      asked += acts.length;
    }
    const last = {
      order: id(1000 + 3 * index + 2),
      attempt: 1,
      type: 'model',
      uuid: id(2000 + 3 * index + 2),
    } as const;
    const acts = [
      () => stageResult(service, { ...last, algo: NAMED.algo, owner: 'ann' }, some()),
      () => publishResult(service, last.order, 1),
      () => removeResource(service, 'model', last.uuid),
    ];
    for (const one of acts) await successes([one()]);
    return asked + acts.length;
  };
  const acts = await Promise.all(Array.from({ length: 8 }, async (_, index) => await act(index)));
  t.is(two.counts.again, 0);
  // No fewer: `discardExpired` writes once more for blobs that it finds unreferenced, which is as the others happen to run.
  t.true(two.counts.writes >= 1 + acts.reduce((sum, count) => sum + count, 0));
  const { read } = two.database;
  await discardExpired(two.service(0), 3_600_000);
  const kept = await read.selectFrom('blobs').select('sha256').execute();
  const referred = await read
    .selectFrom('resources')
    .select('sha256')
    .union(read.selectFrom('staged').select('sha256'))
    .union(read.selectFrom('pinned').select('sha256'))
    .execute();
  t.deepEqual(sorted(kept.map((row) => row.sha256)), sorted(referred.map((row) => row.sha256)));
  const sets = await read.selectFrom('pinned').select('set_id').distinct().execute();
  const held = await read.selectFrom('pin_members').select('set_id').distinct().execute();
  t.deepEqual(sorted(sets.map((row) => row.set_id)), sorted(held.map((row) => row.set_id)));
});
