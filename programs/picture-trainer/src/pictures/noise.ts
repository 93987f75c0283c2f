import type { Random } from '../random.ts';
import { bytesOf, type Labelled } from './labelled.ts';

const MOST_DEGREES = 10;
const [SMALLEST, LARGEST] = [0.7, 1.5];

/**
 * Writes a picture with noise, from 0 to 1 for each value, into `into` at `offset`. As in dicebox, `noise` is how
 * probable it is that the picture is turned, by up to 10 degrees either way, and also that it is made smaller or larger,
 * by 0.7 to 1.5; what is beyond the edges is black. Both are drawn from `random`.
 */
export function writeNoisy(
  from: Labelled,
  number: number,
  { noise, random }: { readonly noise: number; readonly random: Random },
  into: Float32Array,
  offset: number,
): void {
  const size = bytesOf(from);
  const pixels = from.pixels.subarray(number * size, (number + 1) * size);
  const turned = random.next() < noise ? ((2 * random.next() - 1) * MOST_DEGREES * Math.PI) / 180 : 0;
  const scale = random.next() < noise ? SMALLEST + random.next() * (LARGEST - SMALLEST) : 1;
  if (turned === 0 && scale === 1) {
    for (let index = 0; index < size; index += 1) into[offset + index] = (pixels[index] ?? 0) / 255;
    return;
  }
  const { width, height, channels } = from;
  const [cos, sin] = [Math.cos(turned) / scale, Math.sin(turned) / scale];
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [fromX, fromY] = [x - middleX, y - middleY];
      const sourceX = cos * fromX + sin * fromY + middleX;
      const sourceY = cos * fromY - sin * fromX + middleY;
      const at = offset + (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel += 1)
        into[at + channel] = between(pixels, from, { x: sourceX, y: sourceY, channel }) / 255;
    }
  }
}

interface Point {
  readonly x: number;
  readonly y: number;
  readonly channel: number;
}

/** What a picture has between its points: the four around it, weighed by how near they are. */
function between(
  pixels: Uint8Array,
  { width, height, channels }: Labelled,
  { x, y, channel }: Point,
): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, below] = [x - left, y - top];
  const at = (column: number, row: number) =>
    column < 0 || row < 0 || column >= width || row >= height
      ? 0
      : (pixels[(row * width + column) * channels + channel] ?? 0);
  const upper = at(left, top) * (1 - right) + at(left + 1, top) * right;
  const lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right;
  return upper * (1 - below) + lower * below;
}
