import test from 'ava';
import { FASHION_CATEGORIES, fashionMnist } from '../../../../utils/real-parts/src/fashion-mnist.ts';
import { sampleSize } from '../../../../utils/real-parts/src/random.ts';
import { withParts } from '../../../../utils/real-parts/src/with-parts.ts';
import { hasNative } from '../engine.ts';
import { writeShard } from '../testing/pictures.ts';
import { openTraining } from '../testing/training.ts';

/** How many pictures are learnt, over and over, and what share of others has to be right then. */
const PICTURES = sampleSize('FASHION_PICTURES', { small: 1_500, full: 60_000 });
const EPOCHS = sampleSize('FASHION_EPOCHS', { small: 3, full: 8 });
const LEAST = PICTURES === 60_000 ? 0.9 : 0.7;

/** The first pictures of Fashion-MNIST as a shard. */
async function shardOf(part: 'train' | 'test', count: number) {
  const { width, height, pixels, labels } = await fashionMnist(part);
  const categories = [...labels.subarray(0, count)].map((label) => FASHION_CATEGORIES[label] ?? '');
  const index = { version: 1, name: 'fashion', width, height, channels: 1, count, categories };
  return { index, pixels: pixels.slice(0, count * width * height) };
}

withParts(test, 'fashion-mnist')('The small network learns what clothes look like', async (t) => {
  t.timeout(EPOCHS * PICTURES * 10, 'a busy machine trains a hundred pictures a second');
  await using training = await openTraining(await shardOf('train', PICTURES));
  await writeShard(training.at('test/000'), await shardOf('test', PICTURES / 6));
  const settings = {
    ...{ network: { preset: 'small-cnn' }, seed: 1, epochs: EPOCHS, batch_size: 64, held_out: 0 },
    categories: FASHION_CATEGORIES,
  };
  const engine = hasNative() ? 'native' : 'wasm';
  const start = performance.now();
  const { said } = await training.run(settings, 'outputs', { engine });
  const { accuracy } = await training.json('outputs/score.json');
  const seconds = Math.round((performance.now() - start) / 1000);
  t.log(`${PICTURES} pictures, ${EPOCHS} epochs, ${seconds} s (${engine}): accuracy ${accuracy}`, ...said);
  t.true(Number(accuracy) >= LEAST);
});
