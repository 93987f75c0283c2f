import type { TensorFlow, TF } from '../engine.ts';
import type { OptimizerName } from '../genome/genome.ts';

/** All parameters of a network in one row, and what its optimizer remembers of each. */
export interface Weights {
  readonly values: TF.Tensor1D;
  readonly slots: readonly TF.Tensor1D[];
}

/**
 * A rule by which parameters change, as Keras 2.15 has it with its default settings. TensorFlow.js lacks two of the
 * eight, and its own cannot go on from what was stored with exactly the same numbers.
 */
export interface Optimizer {
  /** What each slot holds at first. */
  readonly slots: readonly number[];
  /** The next weights; `step` counts from 1. Its tensors are for `tf.tidy` to remove. */
  next(tf: TensorFlow, now: Weights, gradient: TF.Tensor1D, step: number): Weights;
}

const RATE = 0.001;
const TINY = 1e-7;

/** The optimizer of this name. */
export function optimizerOf(name: OptimizerName): Optimizer {
  return OPTIMIZERS[name];
}

const sgd: Optimizer = {
  slots: [],
  next: (tf, { values }, gradient) => ({ values: tf.sub(values, tf.mul(gradient, 0.01)), slots: [] }),
};

const adam: Optimizer = {
  slots: [0, 0],
  next: (tf, { values, slots }, gradient, step) => {
    const [mean, square] = moments(tf, slots, gradient);
    const rate = (RATE * Math.sqrt(1 - 0.999 ** step)) / (1 - 0.9 ** step);
    const change = tf.div(tf.mul(mean, rate), tf.add(tf.sqrt(square), TINY));
    return { values: tf.sub(values, change), slots: [mean, square] };
  },
};

const nadam: Optimizer = {
  slots: [0, 0],
  next: (tf, { values, slots }, gradient, step) => {
    const [mean, square] = moments(tf, slots, gradient);
    const product = momentumProduct(step);
    const [now, after] = [momentum(step), momentum(step + 1)];
    const ahead = tf.add(
      tf.mul(mean, after / (1 - product * after)),
      tf.mul(gradient, (1 - now) / (1 - product)),
    );
    const scale = tf.sqrt(tf.div(square, 1 - 0.999 ** step));
    const change = tf.div(tf.mul(ahead, RATE), tf.add(scale, TINY));
    return { values: tf.sub(values, change), slots: [mean, square] };
  },
};

const adamax: Optimizer = {
  slots: [0, 0],
  next: (tf, { values, slots }, gradient, step) => {
    const [meanBefore, mostBefore] = pairOf(slots);
    const mean: TF.Tensor1D = tf.add(meanBefore, tf.mul(tf.sub(gradient, meanBefore), 0.1));
    const most: TF.Tensor1D = tf.maximum(tf.mul(mostBefore, 0.999), tf.abs(gradient));
    const change = tf.div(tf.mul(mean, RATE / (1 - 0.9 ** step)), tf.add(most, TINY));
    return { values: tf.sub(values, change), slots: [mean, most] };
  },
};

const rmsprop: Optimizer = {
  slots: [0],
  next: (tf, { values, slots: [before] }, gradient) => {
    const square: TF.Tensor1D = tf.add(tf.mul(demand(before), 0.9), tf.mul(tf.square(gradient), 0.1));
    const change = tf.div(tf.mul(gradient, RATE), tf.sqrt(tf.add(square, TINY)));
    return { values: tf.sub(values, change), slots: [square] };
  },
};

const adagrad: Optimizer = {
  slots: [0.1],
  next: (tf, { values, slots: [before] }, gradient) => {
    const sum: TF.Tensor1D = tf.add(demand(before), tf.square(gradient));
    const change = tf.div(tf.mul(gradient, RATE), tf.sqrt(tf.add(sum, TINY)));
    return { values: tf.sub(values, change), slots: [sum] };
  },
};

const adadelta: Optimizer = {
  slots: [0, 0],
  next: (tf, { values, slots }, gradient) => {
    const [squareBefore, changedBefore] = pairOf(slots);
    const square: TF.Tensor1D = tf.add(tf.mul(squareBefore, 0.95), tf.mul(tf.square(gradient), 0.05));
    const size = tf.div(tf.sqrt(tf.add(changedBefore, TINY)), tf.sqrt(tf.add(square, TINY)));
    const change = tf.mul(size, gradient);
    const changed: TF.Tensor1D = tf.add(tf.mul(changedBefore, 0.95), tf.mul(tf.square(change), 0.05));
    return { values: tf.sub(values, tf.mul(change, RATE)), slots: [square, changed] };
  },
};

const ftrl: Optimizer = {
  slots: [0.1, 0],
  next: (tf, { values, slots }, gradient) => {
    const [sumBefore, linearBefore] = pairOf(slots);
    const sum: TF.Tensor1D = tf.add(sumBefore, tf.square(gradient));
    const grown = tf.div(tf.sub(tf.sqrt(sum), tf.sqrt(sumBefore)), RATE);
    const linear: TF.Tensor1D = tf.add(linearBefore, tf.sub(gradient, tf.mul(grown, values)));
    return { values: tf.div(tf.mul(linear, -RATE), tf.sqrt(sum)), slots: [sum, linear] };
  },
};

const OPTIMIZERS: Readonly<Record<OptimizerName, Optimizer>> = {
  ...{ adadelta, adagrad, adam, adamax, ftrl, nadam, rmsprop, sgd },
};

/** The running means of the gradient and of its square, with the decays of Adam. */
function moments(
  tf: TensorFlow,
  slots: readonly TF.Tensor1D[],
  gradient: TF.Tensor1D,
): [TF.Tensor1D, TF.Tensor1D] {
  const [mean, square] = pairOf(slots);
  return [
    tf.add(mean, tf.mul(tf.sub(gradient, mean), 0.1)),
    tf.add(square, tf.mul(tf.sub(tf.square(gradient), square), 0.001)),
  ];
}

/** The momentum of Nadam at a step (Dozat 2016; the decay of Keras). */
function momentum(step: number): number {
  return 0.9 * (1 - 0.5 * 0.96 ** step);
}

function momentumProduct(step: number): number {
  let product = 1;
  // With 0.9 at most in each step it is 0 in numbers of 64 bits by then.
  for (let index = 1; index <= Math.min(step, 8_000); index += 1) product *= momentum(index);
  return product;
}

function pairOf([first, second]: readonly TF.Tensor1D[]): [TF.Tensor1D, TF.Tensor1D] {
  return [demand(first), demand(second)];
}

function demand(slot: TF.Tensor1D | undefined): TF.Tensor1D {
  if (slot === undefined) throw new Error('The state of the optimizer has too few slots.');
  return slot;
}
