// What softmax regression and the small network have in common: stochastic gradient descent over
// digits, and how weights are kept in a model. The same file in both.

import { InputError, PIXELS } from './digits-file.js';
import { shuffle } from './random.js';

const SIDE = 28;

/** Number of classes: the digits 0 to 9. */
export const CLASSES = 10;

/** Number of inputs of a digit: its pixels, and one that is always 1, for the bias. */
export const INPUTS = PIXELS + 1;

/**
 * Goes over the digits `epochs` times, in a new order each time, with a rate that falls to zero.
 * @param {{ label: number, pixels: Uint8Array }[]} digits
 * @param {{ epochs: number, firstRate: number, random: () => number }} settings
 * @param {(digit: { label: number, pixels: Uint8Array }, rate: number) => Float64Array} learn
 *   takes one step with one digit, and returns the chances of the classes from before that step
 * @param {(line: string) => void} say told one line an epoch
 */
export function descend(digits, { epochs, firstRate, random }, learn, say) {
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    const rate = firstRate * (1 - epoch / epochs);
    let loss = 0;
    let right = 0;
    for (const digit of shuffle(digits, random)) {
      const chances = learn(digit, rate);
      loss -= Math.log(Math.max(chances[digit.label], Number.MIN_VALUE));
      if (indexOfMax(chances) === digit.label) right += 1;
    }
    const [meanLoss, accuracy] = [loss, right].map((sum) => (sum / digits.length).toFixed(4));
    say(`epoch ${epoch + 1}/${epochs}  loss ${meanLoss}  accuracy ${accuracy}`);
  }
}

/**
 * The inputs of a digit that are not zero: most of a picture is paper, and costs nothing this way.
 * @param {Uint8Array} pixels
 * @param {number} [right] moves the picture so many pixels to the right
 * @param {number} [down] moves the picture so many pixels down
 * @returns {{ places: Int32Array, values: Float64Array }} indexes of inputs, and values from 0 to 1
 */
export function inkOf(pixels, right = 0, down = 0) {
  const places = [];
  const values = [];
  for (let pixel = 0; pixel < PIXELS; pixel += 1) {
    const column = (pixel % SIDE) + right;
    const row = Math.floor(pixel / SIDE) + down;
    const inside = column >= 0 && column < SIDE && row >= 0 && row < SIDE;
    if (pixels[pixel] === 0 || !inside) continue;
    places.push(row * SIDE + column);
    values.push(pixels[pixel] / 255);
  }
  return { places: Int32Array.from([...places, PIXELS]), values: Float64Array.from([...values, 1]) };
}

/**
 * Scores as chances: positive, and 1 in sum.
 * @param {Float64Array} scores
 */
export function softmax(scores) {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * Where the highest value stands: the class that a prediction settles on.
 * @param {Float64Array} values
 */
export function indexOfMax(values) {
  return values.indexOf(Math.max(...values));
}

/**
 * Weights as text: base64 of 32-bit floats in the byte order of the machine (low byte first).
 * @param {Float32Array} weights
 */
export function encodeWeights(weights) {
  return Buffer.from(weights.buffer).toString('base64');
}

/**
 * The weights that encodeWeights made a text of. Throws InputError if there are not `count`.
 * @param {string} text
 * @param {number} count
 */
export function decodeWeights(text, count) {
  const bytes = Uint8Array.from(Buffer.from(String(text), 'base64'));
  if (bytes.length === count * Float32Array.BYTES_PER_ELEMENT) return new Float32Array(bytes.buffer);
  throw new InputError(`the model holds ${bytes.length} bytes of weights where ${count * 4} are needed`);
}
