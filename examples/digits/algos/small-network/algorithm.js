// A network with one hidden layer of rectified units, learned by stochastic gradient descent.
// While it trains, each picture is moved by up to one pixel, so that it does not learn places by heart.

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
export const name = 'small-network';

const HIDDEN = 64;
const EPOCHS = 10;
const FIRST_RATE = 0.02;
const FIRST_WEIGHTS = INPUTS * HIDDEN;
const SECOND_WEIGHTS = HIDDEN * CLASSES;

/**
 * Trains over the digits, from the start model or from small random weights.
 * @param {{ seen: number, first: string, second: string } | undefined} start
 * @param {{ label: number, pixels: Uint8Array }[]} digits
 * @param {(line: string) => void} say told one line an epoch
 */
export function train(start, digits, say) {
  const random = randomFrom(start?.seen ?? 0);
  const network = start ? decode(start) : fresh(random);
  const oneOff = () => Math.floor(random() * 3) - 1;
  const learn = ({ label, pixels }, rate) => {
    const ink = inkOf(pixels, oneOff(), oneOff());
    const hidden = hiddenOf(network, ink);
    const chances = softmax(scoresOf(network, hidden));
    const errors = chances.map((chance, index) => (index === label ? chance - 1 : chance));
    const blame = stepSecond(network, hidden, errors, rate);
    stepFirst(network, ink, blame, rate);
    return chances;
  };
  descend(digits, { epochs: EPOCHS, firstRate: FIRST_RATE, random }, learn, say);
  return { first: encodeWeights(network.first), second: encodeWeights(network.second) };
}

/**
 * A function that tells the digit of a picture.
 * @param {{ first: string, second: string }} model
 * @returns {(pixels: Uint8Array) => number}
 */
export function predictor(model) {
  const network = decode(model);
  return (pixels) => indexOfMax(scoresOf(network, hiddenOf(network, inkOf(pixels))));
}

function decode({ first, second }) {
  return { first: decodeWeights(first, FIRST_WEIGHTS), second: decodeWeights(second, SECOND_WEIGHTS) };
}

// He and others, 2015: this spread keeps the signal of rectified units about as large as it came in.
function fresh(random) {
  const weights = (inputs, outputs) => {
    const spread = Math.sqrt(6 / inputs);
    return Float32Array.from({ length: inputs * outputs }, () => (random() * 2 - 1) * spread);
  };
  return { first: weights(INPUTS, HIDDEN), second: weights(HIDDEN, CLASSES) };
}

function hiddenOf({ first }, { places, values }) {
  const hidden = new Float64Array(HIDDEN);
  for (let index = 0; index < places.length; index += 1) {
    const row = places[index] * HIDDEN;
    for (let unit = 0; unit < HIDDEN; unit += 1) hidden[unit] += values[index] * first[row + unit];
  }
  return hidden.map((total) => Math.max(0, total));
}

function scoresOf({ second }, hidden) {
  const scores = new Float64Array(CLASSES);
  for (let unit = 0; unit < HIDDEN; unit += 1) {
    const row = unit * CLASSES;
    for (let label = 0; label < CLASSES; label += 1) scores[label] += hidden[unit] * second[row + label];
  }
  return scores;
}

// Returns how far each hidden unit is to blame for the errors, by the weights from before the step.
function stepSecond({ second }, hidden, errors, rate) {
  return hidden.map((value, unit) => {
    if (value === 0) return 0;
    const row = unit * CLASSES;
    let blame = 0;
    for (let label = 0; label < CLASSES; label += 1) {
      blame += second[row + label] * errors[label];
      second[row + label] -= rate * value * errors[label];
    }
    return blame;
  });
}

function stepFirst({ first }, { places, values }, blame, rate) {
  for (let index = 0; index < places.length; index += 1) {
    const row = places[index] * HIDDEN;
    const change = rate * values[index];
    for (let unit = 0; unit < HIDDEN; unit += 1) first[row + unit] -= change * blame[unit];
  }
}
