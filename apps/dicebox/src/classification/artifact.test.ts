import test from 'ava';
import { type FakeNetwork, FakeTrainings } from '../testing/fake-trainings.ts';
import { readNetwork } from './artifact.ts';

/** Reads what a training has left that is described so. */
async function read(network: FakeNetwork) {
  const trainings = new FakeTrainings();
  const training = trainings.train(network);
  const done = trainings.doneOf(training);
  return { training, output: done.output, found: readNetwork(trainings.storage, done) };
}

test('A network is read from what its training has left', async (t) => {
  const { training, output, found } = await read({ categories: ['a', 'b'], accuracy: 0.75 });
  t.like(await found, { training, output, accuracy: 0.75, categories: ['a', 'b'] });
  t.like(await found, { width: 4, height: 4, channels: 1 });
});

const tensor = { name: '', shape: [], offset: 0 };
const weights = { file: 'weights.bin', digest: '0'.repeat(64), tensors: [] };
const refusals: Readonly<Record<string, readonly [FakeNetwork, RegExp]>> = {
  'that is not there': [
    { files: { 'network/network.json': undefined } },
    /has left no network\/network.json/,
  ],
  'that is no JSON': [{ files: { 'network/network.json': Buffer.from('{') } }, /network.json is no JSON/],
  'of another version': [{ describe: (all) => ({ ...all, version: 2 }) }, /network.json: version/],
  'with one category': [{ categories: ['a'] }, /categories/],
  'with a category twice': [{ categories: ['a', 'a'] }, /two of its categories have the same name/],
  'that takes other pictures': [
    { describe: (all) => ({ ...all, width: 5 }) },
    /it takes 4 × 4 × 1 numbers, and its pictures are 5 × 4 × 1/,
  ],
  'with other outputs than categories': [
    { describe: (all) => ({ ...all, categories: ['a', 'b', 'c'] }) },
    /it has 4 outputs, and 3 categories/,
  ],
  'without weights': [{ files: { 'network/weights.bin': undefined } }, /weights.bin, are not there/],
  'with more tensors than any network has': [
    { describe: (all) => ({ ...all, weights: { ...weights, tensors: Array(10_001).fill(tensor) } }) },
    /tensors/,
  ],
  'without tensors': [{ describe: (all) => ({ ...all, weights }) }, /tensors/],
  'whose weights are others': [
    { files: { 'network/weights.bin': Buffer.alloc(256) } },
    /its weights have another digest than it says/,
  ],
  'without an accuracy': [{ describe: ({ accuracy: _, ...all }) => all }, /accuracy/],
};

for (const [what, [network, message]] of Object.entries(refusals)) {
  test(`A network ${what} is refused, and the reason is told`, async (t) => {
    const { training, found } = await read(network);
    const error = await t.throwsAsync(found, { code: 'wrong_state', message });
    t.true(error?.message.startsWith(`The network of training ${training} cannot be used: `));
  });
}

test('Weights of another shape than the tensors are refused, with how long both are', async (t) => {
  const { found } = await read({
    describe: (all) => ({
      ...all,
      weights: {
        ...Object(all.weights),
        tensors: [{ name: 'kernel', shape: [16, 5], offset: 0 }],
      },
    }),
  });
  await t.throwsAsync(found, { message: /of another shape: its tensors end at byte 320, and there are 256/ });
});
