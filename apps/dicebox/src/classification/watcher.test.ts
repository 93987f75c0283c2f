import { PlatformError } from '@morpheo/common';
import { openDatabase } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import test, { type ExecutionContext } from 'ava';
import type { DiceboxDatabase, Schema } from '../db/schema.ts';
import { migrations } from '../db/tables.ts';
import { FakeTrainings } from '../testing/fake-trainings.ts';
import { InUse } from './in-use.ts';
import { Networks } from './networks.ts';
import type { AdoptionRule } from './settings.ts';
import { doneTraining } from './trainings.ts';
import { Watcher } from './watcher.ts';

const SET = 'greys_4x4';
const ANN = { name: 'ann', isAdmin: false };

/** A watcher of a service that has just started. */
function started(trainings: FakeTrainings, database: DiceboxDatabase, rule: Partial<AdoptionRule> = {}) {
  const { compute, storage } = trainings;
  const networks = new Networks(database, SET);
  const inUse = new InUse({ compute, answerMs: 60_000 });
  const watcher = new Watcher({
    ...{
      compute,
      storage,
      set: SET,
      owner: 'dicebox',
      trainingsOf: ANN.name,
      networks,
      inUse,
      log: silentLog,
    },
    rule: { adopt: 'better', margin: 0, ...rule },
  });
  return { networks, inUse, watcher };
}

async function open(t: ExecutionContext, rule: Partial<AdoptionRule> = {}) {
  const trainings = new FakeTrainings();
  const place = { engine: 'sqlite', file: ':memory:' } as const;
  const database = await openDatabase<Schema>(place, { owner: 'dicebox', migrations });
  t.teardown(async () => await database[Symbol.asyncDispose]());
  const own = started(trainings, database, rule);
  return {
    ...{ trainings, database, ...own },
    /** Looks, and tells how the networks of some trainings stand. */
    look: async (...ids: string[]) => {
      await own.watcher.look();
      const all = await own.networks.list();
      return ids.map((id) => all.find(({ training }) => training === id)?.state);
    },
    reasonOf: async (id: string) =>
      (await own.networks.list()).find(({ training }) => training === id)?.reason ?? '',
  };
}

test('The network of the first training that is done is used, once it has answered', async (t) => {
  const { trainings, inUse, look } = await open(t);
  t.deepEqual(await look(), []);
  trainings.train({ status: 'pending' });
  trainings.train({ set: 'others' });
  const training = trainings.train();
  t.deepEqual(await look(training), ['current']);
  t.is(inUse.network?.training, training);
  t.deepEqual(trainings.calls, [{ output: trainings.doneOf(training).output, count: 1 }]);
});

test('A better network replaces the one in use, and a worse one is refused with both accuracies', async (t) => {
  const { trainings, inUse, look, reasonOf } = await open(t);
  const first = trainings.train({ accuracy: 0.8 });
  await look();
  const [worse, better] = [trainings.train({ accuracy: 0.7 }), trainings.train({ accuracy: 0.9 })];
  t.deepEqual(await look(first, better), ['draining', 'current']);
  t.is(inUse.network?.training, better);
  t.deepEqual(await look(first, worse, better), ['retired', 'refused', 'current']);
  t.regex(await reasonOf(worse), /its accuracy is 0.7, and .* 0.9/);
  t.regex(await reasonOf(first), new RegExp(`training ${better} has taken its place`));
});

test('A network whose program answers with an error is refused with its message, and the one in use stays', async (t) => {
  const { trainings, inUse, look, reasonOf } = await open(t);
  const first = trainings.train();
  await look();
  const second = trainings.train({ accuracy: 0.9 });
  trainings.faults.push(async () => {
    throw new PlatformError('call_failed', 'The loss is NaN.');
  });
  t.deepEqual(await look(first, second), ['current', 'refused']);
  t.is(await reasonOf(second), 'It could not be asked: The loss is NaN.');
  t.is(inUse.network?.training, first);
});

test('A training that has left no network is refused, and why is told', async (t) => {
  const { trainings, look, reasonOf } = await open(t);
  const training = trainings.train({ files: { 'network/network.json': undefined } });
  const gone = trainings.train();
  trainings.forget(gone);
  t.deepEqual(await look(training, gone), ['refused', 'refused']);
  t.regex(await reasonOf(training), /left no network/);
  t.regex(await reasonOf(gone), /is gone/);
});

test('A network that could not be warmed since no worker was there is tried again', async (t) => {
  const { trainings, watcher, look } = await open(t);
  const training = trainings.train();
  trainings.faults.push(async () => {
    throw new PlatformError('unavailable', 'No worker offers this.');
  });
  await t.throwsAsync(watcher.look(), { code: 'unavailable' });
  t.deepEqual(await look(training), ['current']);
});

test('A network that does not answer though a worker is there is refused in the end, and the next one is used', async (t) => {
  const { trainings, networks, watcher, look, reasonOf } = await open(t);
  const [other, broken] = [trainings.train({ accuracy: 0.8 }), trainings.train({ accuracy: 0.9 })];
  const ended = async () => {
    throw new PlatformError('unavailable', 'Its runner ended with exit code 3.');
  };
  for (let tries = 1; tries < 5; tries += 1) {
    trainings.faults.push(ended);
    await t.throwsAsync(watcher.look(), { code: 'unavailable' });
    t.like((await networks.list())[0], { training: broken, state: 'warming' });
    t.regex(await reasonOf(broken), /exit code 3/);
  }
  trainings.faults.push(ended);
  t.deepEqual(await look(broken), ['refused']);
  t.is(await reasonOf(broken), 'It could not be asked: Its runner ended with exit code 3.');
  t.deepEqual(await look(other), ['current']);
});

test('A network waits for as long as no worker is there that could answer', async (t) => {
  const { trainings, watcher, look } = await open(t);
  const training = trainings.train();
  const [labels = {}] = trainings.workers.splice(0);
  trainings.workers.push({ other: 'label' });
  for (let tries = 0; tries < 8; tries += 1) {
    trainings.faults.push(async () => {
      throw new PlatformError('unavailable', 'No worker offers this.');
    });
    await t.throwsAsync(watcher.look(), { code: 'unavailable' });
  }
  trainings.workers.push(labels);
  t.deepEqual(await look(training), ['current']);
});

test('After a start the network that was in use is used again, without a training to look at', async (t) => {
  const { trainings, database, look } = await open(t);
  const training = trainings.train();
  await look();
  const again = started(trainings, database);
  await again.watcher.look();
  t.is(again.inUse.network?.training, training);
});

test('However many networks have come since, the one in use is used again', async (t) => {
  const { trainings, database, networks, look } = await open(t);
  const training = trainings.train({ accuracy: 0.9 });
  await look();
  await networks.add(
    Array.from({ length: 501 }, (_, n) => ({
      ...trainings.doneOf(training),
      ...{ training: `later ${n}`, reason: 'It has left none.' },
    })),
  );
  const again = started(trainings, database);
  await again.watcher.look();
  t.is(again.inUse.network?.training, training);
});

test('An order that somebody else has labelled as a training is none', async (t) => {
  const { trainings, look } = await open(t);
  const forged = trainings.train({ owner: 'mallory', accuracy: 1 });
  const asked = trainings.train({ owner: 'anybody', accuracy: 0.5 });
  t.deepEqual(await look(forged, asked), [undefined, 'current']);
  const { compute, storage } = trainings;
  await t.throwsAsync(doneTraining({ compute, storage, set: SET, owner: 'dicebox' }, forged, ANN), {
    code: 'not_found',
    message: /is no training/,
  });
});

test('Two services on one database use the same network', async (t) => {
  const { trainings, database, look } = await open(t);
  trainings.train();
  await look();
  const other = started(trainings, database);
  await other.watcher.look();
  const better = trainings.train({ accuracy: 0.9 });
  await look();
  await other.watcher.look();
  t.is(other.inUse.network?.training, better);
});

test('By hand nothing is used but what somebody asked for, whatever its accuracy', async (t) => {
  const { trainings, networks, look } = await open(t, { adopt: 'manual' });
  const [first, second] = [trainings.train({ accuracy: 0.9 }), trainings.train({ accuracy: 0.1 })];
  t.deepEqual(await look(first, second), ['candidate', 'candidate']);
  await networks.want(first, false);
  t.deepEqual(await look(first, second), ['current', 'candidate']);
  await networks.want(second, false);
  t.deepEqual(await look(first, second), ['draining', 'current']);
  await networks.refuse(first, 'It knows no boots.');
  await t.throwsAsync(networks.refuse(second, 'No.'), { code: 'wrong_state', message: /It is in use/ });
  t.deepEqual(await look(first, second), ['refused', 'current']);
});

test('Other categories are refused, unless they are meant', async (t) => {
  const { trainings, networks, inUse, look, reasonOf } = await open(t);
  trainings.train();
  await look();
  const other = trainings.train({ accuracy: 0.99, categories: ['cat', 'dog'] });
  t.deepEqual(await look(other), ['refused']);
  t.regex(await reasonOf(other), /its categories are cat, dog, .* black, dark, light, white/);
  await t.throwsAsync(networks.want(other, false), {
    code: 'conflict',
    message: /its categories are cat, dog/,
  });
  await networks.want(other, true);
  t.deepEqual(await look(other), ['current']);
  t.deepEqual(inUse.network?.categories, ['cat', 'dog']);
});

test("A training on another owner's set of the same name replaces nothing, and only that owner or an admin may adopt it", async (t) => {
  const { trainings, look } = await open(t);
  const own = trainings.train({ accuracy: 0.5 });
  const others = trainings.train({ accuracy: 0.99, setOwner: 'bob' });
  t.deepEqual(await look(own, others), ['current', undefined]);
  const { compute, storage } = trainings;
  const options = { compute, storage, set: SET, owner: 'dicebox', trainingsOf: ANN.name };
  await t.throwsAsync(doneTraining(options, others, ANN), { code: 'forbidden', message: /another owner/ });
  for (const viewer of [
    { name: 'bob', isAdmin: false },
    { name: 'root', isAdmin: true },
  ])
    t.is((await doneTraining(options, others, viewer)).training, others);
  t.is((await doneTraining(options, own, { name: 'bob', isAdmin: false })).training, own);
});

test('While a network waits for a worker, others get their turn, and the one in use stays warm', async (t) => {
  const { trainings, watcher, inUse, look } = await open(t);
  const [other, waiting] = [trainings.train({ accuracy: 0.8 }), trainings.train({ accuracy: 0.9 })];
  const [labels = {}] = trainings.workers.splice(0);
  const noWorker = async () => {
    throw new PlatformError('unavailable', 'No worker offers this.');
  };
  trainings.faults.push(noWorker);
  await t.throwsAsync(watcher.look(), { code: 'unavailable' });
  t.deepEqual(await look(other, waiting), ['current', 'warming']);
  Object.defineProperty(inUse, 'idleMs', { get: () => 600_000 });
  trainings.calls.length = 0;
  trainings.faults.push(noWorker);
  await t.throwsAsync(watcher.look(), { code: 'unavailable' });
  t.deepEqual(trainings.calls, [{ output: trainings.doneOf(other).output, count: 1 }]);
  trainings.workers.push(labels);
  t.deepEqual(await look(waiting), ['current']);
});

test('A network that storage refuses to give is refused with the reason, and newer ones are found', async (t) => {
  const { trainings, watcher, look, reasonOf } = await open(t);
  const [secret, wrong, good] = [trainings.train(), trainings.train(), trainings.train()];
  trainings.refused.set(trainings.doneOf(secret).output, new PlatformError('forbidden', 'It is not yours.'));
  trainings.refused.set(trainings.doneOf(wrong).output, new PlatformError('invalid_request', 'No such id.'));
  t.deepEqual(await look(secret, wrong, good), ['refused', 'refused', 'current']);
  t.is(await reasonOf(secret), 'What its training has left cannot be read: It is not yours.');
  for (const code of ['unauthenticated', 'unavailable'] as const) {
    const later = trainings.train();
    trainings.refused.set(trainings.doneOf(later).output, new PlatformError(code, 'Later.'));
    await t.throwsAsync(watcher.look(), { code });
    trainings.refused.delete(trainings.doneOf(later).output);
    t.deepEqual(await look(later), ['current']);
  }
});

test('A training that ends after many that were ordered later have ended is found', async (t) => {
  const { trainings, look } = await open(t, { adopt: 'newest' });
  trainings.pageSize = 2;
  const long = trainings.train({ status: 'pending' });
  const others = Array.from({ length: 7 }, () => trainings.train());
  t.deepEqual(await look(others[6] ?? ''), ['current']);
  trainings.end(long);
  const states = [];
  for (let looks = 0; looks < 4; looks += 1) states.push(...(await look(long)));
  t.is(states.at(-1), 'current');
});

test('A trial of a search is used where it is better, and not for being the newest', async (t) => {
  const trial = { accuracy: 0.9, labels: { 'search.trial': '3' } };
  for (const [adopt, expected] of [
    ['newest', undefined],
    ['better', 'current'],
  ] as const) {
    const { trainings, look } = await open(t, { adopt });
    trainings.train();
    await look();
    t.deepEqual(await look(trainings.train(trial)), [expected]);
  }
});
