import test from 'ava';
import { augment } from './augment.ts';
import type { Shape } from './picture.ts';

const SHAPE: Shape = { width: 21, height: 11, channels: 1 };

/** A bright bar through the middle, from left to right. */
function bar(): Uint8Array {
  const pixels = new Uint8Array(SHAPE.width * SHAPE.height);
  return pixels.fill(255, 5 * SHAPE.width, 6 * SHAPE.width);
}

/** Draws these numbers, in turn. */
function drawing(...numbers: number[]) {
  const next = () => numbers.shift() ?? 0.999;
  return { next, chance: (probability: number) => next() < probability };
}

test('Without noise a picture stays as it is', (t) => {
  t.deepEqual(augment(bar(), SHAPE, 0, drawing(0, 0)), bar());
});

test('With noise it is turned about its middle, and what comes from outside is black', (t) => {
  // Turned: by 10°, one way; not scaled.
  const turned = augment(bar(), SHAPE, 0.5, drawing(0, 0.999_999, 0.9));
  const at = (pixels: Uint8Array, x: number, y: number) => pixels[y * SHAPE.width + x];
  t.is(at(turned, 10, 5), 255);
  t.true(Number(at(turned, 0, 5)) < 100);
  // Ten columns from the middle it lies 1.76 rows lower at one end, and as much higher at the other.
  t.deepEqual([Number(at(turned, 1, 3)) > 100, Number(at(turned, 19, 7)) > 100], [true, true]);
  const other = augment(bar(), SHAPE, 0.5, drawing(0, 0, 0.9));
  t.deepEqual([Number(at(other, 1, 7)) > 100, Number(at(other, 19, 3)) > 100], [true, true]);
});

test('With noise it is scaled about its middle, from 0.7 to 1.5', (t) => {
  const white = new Uint8Array(SHAPE.width * SHAPE.height).fill(255);
  const share = (pixels: Uint8Array) => pixels.reduce((all, value) => all + value, 0) / 255 / white.length;
  const least = share(augment(white, SHAPE, 0.5, drawing(0.9, 0, 0)));
  t.true(Math.abs(least - 0.49) < 0.1, String(least));
  t.is(share(augment(white, SHAPE, 0.5, drawing(0.9, 0, 1))), 1);
  const large = augment(bar(), SHAPE, 0.5, drawing(0.9, 0, 1));
  t.true(share(large) > share(bar()) * 1.3);
});

test('Colours stay with their pixels', (t) => {
  const shape: Shape = { width: 9, height: 9, channels: 3 };
  const red = Uint8Array.from({ length: 9 * 9 * 3 }, (_, at) => (at % 3 === 0 ? 200 : 0));
  const made = augment(red, shape, 1, drawing(0, 0.1, 0, 0.9));
  t.true(made.every((value, at) => at % 3 === 0 || value === 0));
  t.is(made[(4 * 9 + 4) * 3], 200);
});
