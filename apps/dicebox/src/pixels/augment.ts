import type { Random } from '@morpheo/search';
import type { Shape } from './picture.ts';

/** The largest angle, in degrees, either way; and the least and the largest scale. As in the original. */
const [MOST_DEGREES, LEAST_SCALE, MOST_SCALE] = [10, 0.7, 1.5];

/**
 * Changes a picture by chance, as the original does: with the probability `noise` it is turned by up to 10°, and with the same
 * probability scaled by 0.7 to 1.5, about its middle; what comes from outside is black. The original chooses once more for
 * each picture that it has met before, whether what it was then is given again: in a batch no picture comes twice.
 */
export function augment(
  pixels: Uint8Array,
  shape: Shape,
  noise: number,
  random: Pick<Random, 'next' | 'chance'>,
): Uint8Array {
  const degrees = random.chance(noise) ? (random.next() * 2 - 1) * MOST_DEGREES : 0;
  const scale = random.chance(noise) ? LEAST_SCALE + random.next() * (MOST_SCALE - LEAST_SCALE) : 1;
  return degrees === 0 && scale === 1 ? pixels : turned(pixels, shape, degrees, scale);
}

/** Each pixel is taken from where it comes from, between its four neighbours there. */
function turned(pixels: Uint8Array, shape: Shape, degrees: number, scale: number): Uint8Array {
  const { width, height, channels } = shape;
  const [cos, sin] = [
    Math.cos((degrees * Math.PI) / 180) / scale,
    Math.sin((degrees * Math.PI) / 180) / scale,
  ];
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  const made = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const fromX = middleX + (x - middleX) * cos + (y - middleY) * sin;
      const fromY = middleY + (y - middleY) * cos - (x - middleX) * sin;
      const at = (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel += 1)
        made[at + channel] = between(pixels, shape, { x: fromX, y: fromY, channel });
    }
  }
  return made;
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly channel: number;
}

function between(pixels: Uint8Array, { width, height, channels }: Shape, { x, y, channel }: Place): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, below] = [x - left, y - top];
  const value = (column: number, row: number): number =>
    column < 0 || row < 0 || column >= width || row >= height
      ? 0
      : (pixels[(row * width + column) * channels + channel] ?? 0);
  const upper = value(left, top) * (1 - right) + value(left + 1, top) * right;
  const lower = value(left, top + 1) * (1 - right) + value(left + 1, top + 1) * right;
  return Math.round(upper * (1 - below) + lower * below);
}
