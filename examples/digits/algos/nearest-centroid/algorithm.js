// Nearest centroid: the mean picture of each digit; a picture is told by the mean that is nearest.

import { PIXELS } from './digits-file.js';

/** The algorithm's name, in its log lines and in its models. */
export const name = 'nearest-centroid';

const CLASSES = 10;
const DIGITS_A_LINE = 500;

/**
 * Adds the digits to the sums that the means are made of, those of the start model or zeros.
 * What comes out depends on the digits alone, not on how they were dealt out to ranks.
 * @param {{ counts: number[], sums: number[][] } | undefined} start
 * @param {{ label: number, pixels: Uint8Array }[]} digits
 * @param {(line: string) => void} say told one line for every 500 digits
 */
export function train(start, digits, say) {
  const counts = start?.counts ?? new Array(CLASSES).fill(0);
  const sums = start?.sums ?? Array.from(counts, () => new Array(PIXELS).fill(0));
  for (const [index, { label, pixels }] of digits.entries()) {
    counts[label] += 1;
    const sum = sums[label];
    for (let pixel = 0; pixel < PIXELS; pixel += 1) sum[pixel] += pixels[pixel];
    const done = index + 1;
    if (done % DIGITS_A_LINE === 0 || done === digits.length) {
      say(
        `epoch 1/1  ${done} of ${digits.length} digits  ${measure({ counts, sums }, digits.slice(0, done))}`,
      );
    }
  }
  return { counts, sums };
}

/**
 * A function that tells the digit of a picture.
 * @param {{ counts: number[], sums: number[][] }} model
 * @returns {(pixels: Uint8Array) => number}
 */
export function predictor(model) {
  const means = meansOf(model);
  return (pixels) => nearest(means, pixels);
}

function meansOf({ counts, sums }) {
  return sums.map((sum, label) => Float64Array.from(sum, (value) => value / counts[label]));
}

// A class that was never seen has means of NaN, so it is at no distance and never the nearest.
function nearest(means, pixels) {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [label, mean] of means.entries()) {
    const distance = distanceOf(mean, pixels);
    if (distance < least) [best, least] = [label, distance];
  }
  return best;
}

// The mean square of the difference of a pixel, where paper is 0 and ink is 1.
function distanceOf(mean, pixels) {
  let total = 0;
  for (let pixel = 0; pixel < PIXELS; pixel += 1) total += (mean[pixel] - pixels[pixel]) ** 2;
  return total / (PIXELS * 255 ** 2);
}

function measure(model, digits) {
  const means = meansOf(model);
  let loss = 0;
  let right = 0;
  for (const { label, pixels } of digits) {
    loss += distanceOf(means[label], pixels);
    if (nearest(means, pixels) === label) right += 1;
  }
  return `loss ${(loss / digits.length).toFixed(4)}  accuracy ${(right / digits.length).toFixed(4)}`;
}
