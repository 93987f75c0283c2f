// Softmax regression: one linear score for each digit, learned by stochastic gradient descent.

import {
  CLASSES,
  decodeWeights,
  descend,
  encodeWeights,
  INPUTS,
  indexOfMax,
  inkOf,
  softmax,
} from './descent.js';
import { randomFrom } from './random.js';

/** The algorithm's name, in its log lines and in its models. */
export const name = 'softmax-regression';

const EPOCHS = 10;
const FIRST_RATE = 0.003;
const WEIGHTS = INPUTS * CLASSES;

/**
 * Trains over the digits, from the start model or from zero.
 * @param {{ seen: number, weights: string } | undefined} start
 * @param {{ label: number, pixels: Uint8Array }[]} digits
 * @param {(line: string) => void} say told one line an epoch
 */
export function train(start, digits, say) {
  const weights = start ? decodeWeights(start.weights, WEIGHTS) : new Float32Array(WEIGHTS);
  const settings = { epochs: EPOCHS, firstRate: FIRST_RATE, random: randomFrom(start?.seen ?? 0) };
  const learn = ({ label, pixels }, rate) => {
    const ink = inkOf(pixels);
    const chances = softmax(scoresOf(weights, ink));
    const errors = chances.map((chance, index) => (index === label ? chance - 1 : chance));
    step(weights, ink, errors, rate);
    return chances;
  };
  descend(digits, settings, learn, say);
  return { weights: encodeWeights(weights) };
}

/**
 * A function that tells the digit of a picture.
 * @param {{ weights: string }} model
 * @returns {(pixels: Uint8Array) => number}
 */
export function predictor(model) {
  const weights = decodeWeights(model.weights, WEIGHTS);
  return (pixels) => indexOfMax(scoresOf(weights, inkOf(pixels)));
}

function scoresOf(weights, { places, values }) {
  const scores = new Float64Array(CLASSES);
  for (let index = 0; index < places.length; index += 1) {
    const row = places[index] * CLASSES;
    for (let label = 0; label < CLASSES; label += 1) scores[label] += values[index] * weights[row + label];
  }
  return scores;
}

function step(weights, { places, values }, errors, rate) {
  for (let index = 0; index < places.length; index += 1) {
    const row = places[index] * CLASSES;
    const change = rate * values[index];
    for (let label = 0; label < CLASSES; label += 1) weights[row + label] -= change * errors[label];
  }
}
