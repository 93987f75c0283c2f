import test from 'ava';
import { FASHION_CATEGORIES, fashionMnist } from './fashion-mnist.ts';
import { withParts } from './with-parts.ts';

withParts(test, 'fashion-mnist')(
  'Fashion-MNIST has 60,000 and 10,000 pictures, as many of each category',
  async (t) => {
    for (const [part, count] of [
      ['train', 60_000],
      ['test', 10_000],
    ] as const) {
      const set = await fashionMnist(part);
      t.like(set, { count, width: 28, height: 28 });
      t.is(set.pixels.length, count * 28 * 28);
      const found = new Array<number>(FASHION_CATEGORIES.length).fill(0);
      for (const label of set.labels) found[label] = (found[label] ?? 0) + 1;
      t.deepEqual(new Set(found), new Set([count / 10]));
    }
  },
);
