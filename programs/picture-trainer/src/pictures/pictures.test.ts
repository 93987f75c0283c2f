import test from 'ava';
import { randomOf, shuffled } from '../random.ts';
import { CATEGORIES, madeShard } from '../testing/pictures.ts';
import { epochBatches } from './batches.ts';
import { chosen, type Labelled, labelled } from './labelled.ts';
import { writeNoisy } from './noise.ts';
import { splitOff } from './split.ts';

function made(count: number, seed = 1): Labelled {
  const { index, pixels } = madeShard({ count, seed });
  return labelled({ ...index, pixels }, CATEGORIES);
}

/** What each picture is, sorted. */
const keysOf = ({ pixels, labels }: Labelled) =>
  [...labels]
    .map((label, number) => `${label}:${pixels.subarray(number * 64, (number + 1) * 64).join()}`)
    .toSorted((a, b) => (a < b ? -1 : 1));

test('Numbers that are drawn depend on the seeds alone, and differ with each of them', (t) => {
  const draw = (...seeds: number[]) => Array.from({ length: 4 }, randomOf(...seeds).word).join();
  t.is(draw(1, 2, 3), draw(1, 2, 3));
  const all = [draw(1, 2, 3), draw(3, 2, 1), draw(1, 2), draw(0), draw(2 ** 32), draw(2 ** 40 + 1), draw(1)];
  t.is(new Set(all).size, all.length);
  const random = randomOf(8);
  const mean = Array.from({ length: 10_000 }, random.next).reduce((sum, value) => sum + value, 0) / 10_000;
  t.true(Math.abs(mean - 0.5) < 0.02);
});

test('A shuffled order has each number once', (t) => {
  const order = shuffled(1000, randomOf(1));
  t.deepEqual(
    [...order].sort((a, b) => a - b),
    [...Array(1000).keys()],
  );
  t.notDeepEqual([...order], [...Array(1000).keys()]);
});

test('A share of each category is held out, whatever order the pictures come in', (t) => {
  const pictures = made(120);
  const { train, held } = splitOff(pictures, 0.2, 7);
  const counts = (labels: Int32Array) =>
    CATEGORIES.map((_, label) => labels.filter((own) => own === label).length);
  t.deepEqual(counts(held.labels), [8, 8, 8]);
  t.deepEqual(counts(train.labels), [32, 32, 32]);
  t.is(new Set([...keysOf(train), ...keysOf(held)]).size, 120);

  const reversed = chosen(pictures, [...Array(120).keys()].reverse());
  t.deepEqual(keysOf(splitOff(reversed, 0.2, 7).held), keysOf(held));
  t.notDeepEqual(keysOf(splitOff(pictures, 0.2, 8).held), keysOf(held));
  t.is(splitOff(pictures, 0, 7).held.labels.length, 0);
});

test('Of two pictures of a category one is held out, and a single one is learnt', (t) => {
  const { train, held } = splitOff(made(5), 0.1, 7);
  const sorted = ({ labels }: Labelled) => [...labels].sort((a, b) => a - b);
  t.deepEqual(sorted(train), [0, 1, 2]);
  t.deepEqual(sorted(held), [0, 1]);
});

test('An epoch has each picture once, in an order of its own, and can be gone on with at any batch', (t) => {
  const pictures = made(50);
  const drawing = { seed: 3, epoch: 1, batchSize: 8, noise: 0.5 };
  const all = [...epochBatches(pictures, drawing, 0)];
  t.deepEqual(
    all.map(({ labels }) => labels.length),
    [8, 8, 8, 8, 8, 8, 2],
  );
  t.deepEqual([...epochBatches(pictures, drawing, 5)], all.slice(5));
  t.notDeepEqual([...epochBatches(pictures, { ...drawing, epoch: 2 }, 0)], all);
  const plain = [...epochBatches(pictures, { ...drawing, noise: 0 }, 0)].flatMap(({ values }) => [...values]);
  const sum = plain.reduce((total, value) => total + value * 255, 0);
  t.is(
    Math.round(sum),
    pictures.pixels.reduce((total, value) => total + value, 0),
  );
});

test('Noise turns and scales a picture about its middle: without it the picture is itself', (t) => {
  const pixels = new Uint8Array(121);
  pixels[60] = 255;
  const dot: Labelled = { width: 11, height: 11, channels: 1, pixels, labels: Int32Array.of(0) };
  const drawn = (noise: number, seed: number) => {
    const into = new Float32Array(121);
    writeNoisy(dot, 0, { noise, random: randomOf(seed) }, into, 0);
    return into;
  };
  t.deepEqual(
    [...drawn(0, 1)],
    [...pixels].map((value) => value / 255),
  );
  const sums = Array.from({ length: 40 }, (_, seed) => {
    const into = drawn(1, seed);
    t.is(into[60], 1);
    return into.reduce((sum, value) => sum + value, 0);
  });
  // At 1.5 the points beside the middle have a third of it each way, below 1 nothing: (1 + 2 / 3)² at the most.
  t.true(Math.max(...sums) < 2.79 && Math.max(...sums) > 1.5);
  t.true(Math.min(...sums) >= 1 && Math.min(...sums) < 1.1);
});
