import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { FakeTrainings } from '../testing/fake-trainings.ts';
import { readNetwork } from './artifact.ts';
import { InUse } from './in-use.ts';
import { asks } from './predictions.ts';

const PIXELS = 16;
const WARM = { isWarm: true };

async function open(answerMs = 60_000) {
  const trainings = new FakeTrainings();
  const { compute, storage } = trainings;
  const inUse = new InUse({ compute, answerMs });
  const network = async () => {
    const training = trainings.train();
    return await readNetwork(storage, trainings.doneOf(training));
  };
  const [first, second] = [await network(), await network()];
  await inUse.use(first, WARM);
  /** The index of the category of a picture of one grey, and which training's network has said so. */
  const ask = async (grey: number) => {
    const said = await inUse.ask(async () => new Uint8Array(PIXELS).fill(grey));
    return [said.probabilities.indexOf(0.75), said.network.training] as const;
  };
  return { trainings, inUse, first, second, ask };
}

function unavailable() {
  return async () => {
    throw new PlatformError('unavailable', 'Its runner has ended.');
  };
}

test('What is asked before a replacement the old network answers, what comes later the new one, and all are answered', async (t) => {
  const { trainings, inUse, first, second, ask } = await open();
  const gate = Promise.withResolvers<void>();
  trainings.gates.set(first.output, gate.promise);
  const before = Array.from({ length: 16 }, async (_, n) => await ask(n * 16));
  let isDrained = false;
  const drained = inUse.use(second, WARM).then(() => {
    isDrained = true;
  });
  const after = await Promise.all(Array.from({ length: 16 }, async (_, n) => await ask(n * 16)));
  t.deepEqual(
    after,
    Array.from({ length: 16 }, (_, n) => [Math.floor(n / 4), second.training] as const),
  );
  t.false(isDrained);
  gate.resolve();
  t.deepEqual(
    await Promise.all(before),
    Array.from({ length: 16 }, (_, n) => [Math.floor(n / 4), first.training] as const),
  );
  await drained;
  t.true(isDrained);
});

test('Pictures that come together go as few calls, each of as many as the trainer takes at once', async (t) => {
  const { trainings, ask } = await open();
  await Promise.all(Array.from({ length: 40 }, async () => await ask(0)));
  t.deepEqual(
    trainings.calls.map(({ count }) => count),
    [32, 8],
  );
});

test('A picture for whose answer nobody waits any more is not asked about', async (t) => {
  const { trainings, first } = await open();
  const ask = asks(first, trainings.compute, 60);
  const gate = Promise.withResolvers<void>();
  trainings.gates.set(first.output, gate.promise);
  const turn = async () => await new Promise(setImmediate);
  const picture = new Uint8Array(PIXELS);
  const underWay = [ask(picture)];
  await turn();
  underWay.push(ask(picture));
  await turn();
  const reason = new PlatformError('unavailable', 'Nobody waits.');
  const [late, later] = [ask(picture, AbortSignal.abort(reason)), ask(picture)];
  gate.resolve();
  t.is(await t.throwsAsync(late), reason);
  await Promise.all([...underWay, later]);
  t.deepEqual(
    trainings.calls.map(({ count }) => count),
    [1, 1, 1],
  );
});

test('A call that broke is made once more, of the network that is in use then', async (t) => {
  const { trainings, inUse, second, ask } = await open();
  trainings.faults.push(async () => {
    void inUse.use(second, WARM);
    await unavailable()();
  });
  t.deepEqual(await ask(255), [3, second.training]);
  t.is(trainings.calls.length, 1);
});

test('Where the second call broke as well, its error is told', async (t) => {
  const { trainings, ask } = await open();
  trainings.faults.push(unavailable(), unavailable());
  await t.throwsAsync(ask(0), { code: 'unavailable', message: 'Its runner has ended.' });
  t.deepEqual(await ask(0).then(([index]) => index), 0);
});

test('Who has waited as long as an answer may take is told so', async (t) => {
  const { trainings, first, ask } = await open(20);
  trainings.gates.set(first.output, new Promise(() => undefined));
  await t.throwsAsync(ask(0), { code: 'unavailable', message: /has answered in time/ });
});

test('What a network says with an error of its own is not asked again', async (t) => {
  const { trainings, ask } = await open();
  trainings.faults.push(async () => {
    throw new PlatformError('call_failed', 'No.');
  });
  await t.throwsAsync(ask(0), { code: 'call_failed', message: 'No.' });
  t.is(trainings.calls.length, 0);
});

test('Without a network it is told what to do', async (t) => {
  const { compute } = new FakeTrainings();
  const inUse = new InUse({ compute, answerMs: 1000 });
  t.is(inUse.network, undefined);
  await t.throwsAsync(
    inUse.ask(async () => new Uint8Array(PIXELS)),
    { code: 'wrong_state', message: /No network is in use yet: order a training/ },
  );
});
