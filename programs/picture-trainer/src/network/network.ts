import type { Engine, TensorFlow, TF } from '../engine.ts';
import type { Genome } from '../genome/genome.ts';
import { genomeShapes } from '../genome/shapes.ts';
import { randomOf } from '../random.ts';
import { type BuiltLayer, buildLayers, type Moment, type WeightSpec } from './layers.ts';
import { type Optimizer, optimizerOf, type Weights } from './optimizers.ts';
import { type Score, scoreOf } from './score.ts';

/** Of all pictures that are computed at once, in the widest layer. */
const MOST_VALUES = 2 ** 25;
const MOST_PICTURES = 256;

/** A network with its weights and the state of its optimizer, on an engine. */
export class Network implements Disposable {
  readonly genome: Genome;
  /** The tensors of its weights, in the order in which {@link values} has them. */
  readonly specs: readonly WeightSpec[];
  /** How many numbers its weights are. */
  readonly parameters: number;
  /** So many pictures may be computed at once, if they are to take a few hundred megabytes at most. */
  readonly atOnce: number;
  readonly #tf: TensorFlow;
  readonly #layers: readonly BuiltLayer[];
  readonly #optimizer: Optimizer;
  #weights: Weights;
  /** The same numbers in the shapes of {@link specs}. */
  #shaped: readonly TF.Tensor[];
  #step = 0;

  /**
   * Builds a network with weights that are drawn by `seed` as Keras does (Glorot and Bengio 2010), its biases 0.
   *
   * @throws Refusal where it cannot be built.
   */
  constructor({ tf }: Engine, genome: Genome, seed: number) {
    this.#tf = tf;
    this.genome = genome;
    this.#layers = buildLayers(genome);
    this.specs = this.#layers.flatMap(({ weights }) => weights);
    this.parameters = this.specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const widest = Math.max(...genomeShapes(genome).map(sizeOf));
    this.atOnce = Math.min(Math.max(Math.floor(MOST_VALUES / widest), 1), MOST_PICTURES);
    this.#optimizer = optimizerOf(genome.optimizer);
    this.#weights = this.#kept(firstValues(this.specs, seed), this.#firstSlots());
    this.#shaped = this.#inShape(this.#weights.values);
  }

  /** How many batches have changed its weights. */
  get step(): number {
    return this.#step;
  }

  /** A copy of all its weights. */
  values(): Float32Array {
    return Float32Array.from(this.#weights.values.dataSync());
  }

  /** A copy of what its optimizer remembers of each of them. */
  slots(): readonly Float32Array[] {
    return this.#weights.slots.map((slot) => Float32Array.from(slot.dataSync()));
  }

  /** Whether {@link restore} can take so many weights, and such slots of an optimizer. */
  fits(parameters: number, slots: number): boolean {
    return parameters === this.parameters && slots === this.#optimizer.slots.length;
  }

  /** Takes other weights, with the state of the optimizer after `step` batches: that of the start where it is absent. */
  restore(values: Float32Array, state?: { slots: readonly Float32Array[]; step: number }): void {
    const { slots, step } = state ?? { slots: this.#firstSlots(), step: 0 };
    if (!this.fits(values.length, slots.length)) throw new Error('These are the weights of another network.');
    this.#replace(this.#kept(values, slots));
    this.#step = step;
  }

  /** Changes the weights by one batch; returns how well they did before that. */
  train(pictures: TF.Tensor4D, labels: Int32Array, moment: Moment): Score {
    const tf = this.#tf;
    const { logits, next } = tf.tidy(() => {
      const target = tf.oneHot(tf.tensor1d(labels, 'int32'), this.genome.output_size);
      let logits: TF.Tensor2D | undefined;
      const lossOf = (...shaped: TF.Tensor[]): TF.Scalar => {
        // What is not kept is gone with the gradient.
        logits = tf.keep(this.#logits(pictures, shaped, moment));
        return tf.losses.softmaxCrossEntropy(target, logits);
      };
      const { grads } = tf.valueAndGrads(lossOf)([...this.#shaped]);
      if (logits === undefined) throw new Error('TensorFlow has not computed the network.');
      const gradient = tf.concat1d(grads.map((part) => part.as1D()));
      const next = this.#optimizer.next(tf, this.#weights, gradient, this.#step + 1);
      return { logits, next: { values: next.values, slots: [...next.slots] } };
    });
    this.#replace({ values: tf.keep(next.values), slots: next.slots.map((slot) => tf.keep(slot)) });
    this.#step += 1;
    const score = scoreOf(logits.dataSync<'float32'>(), labels);
    logits.dispose();
    return score;
  }

  /** What the network makes of pictures, before the softmax; row by row. */
  logits(pictures: TF.Tensor4D): Float32Array {
    return this.#read((shaped) => this.#logits(pictures, shaped, undefined));
  }

  /** How probable each category is, row by row. */
  predict(pictures: TF.Tensor4D): Float32Array {
    return this.#read((shaped) => this.#tf.softmax(this.#logits(pictures, shaped, undefined)));
  }

  [Symbol.dispose](): void {
    this.#tf.dispose([...this.#shaped, this.#weights.values, ...this.#weights.slots]);
  }

  #read(compute: (shaped: readonly TF.Tensor[]) => TF.Tensor2D): Float32Array {
    const made = this.#tf.tidy(() => compute(this.#shaped));
    const values = Float32Array.from(made.dataSync());
    made.dispose();
    return values;
  }

  #logits(pictures: TF.Tensor4D, shaped: readonly TF.Tensor[], moment: Moment | undefined): TF.Tensor2D {
    let [x, used]: [TF.Tensor, number] = [pictures, 0];
    for (const layer of this.#layers) {
      const weights = shaped.slice(used, used + layer.weights.length);
      used += weights.length;
      x = layer.apply(this.#tf, x, weights, moment);
    }
    return x.as2D(pictures.shape[0], this.genome.output_size);
  }

  #firstSlots(): readonly Float32Array[] {
    return this.#optimizer.slots.map((first) => new Float32Array(this.parameters).fill(first));
  }

  #kept(values: Float32Array, slots: readonly Float32Array[]): Weights {
    const tf = this.#tf;
    return { values: tf.tensor1d(values), slots: slots.map((slot) => tf.tensor1d(slot)) };
  }

  #replace(weights: Weights): void {
    this[Symbol.dispose]();
    this.#weights = weights;
    this.#shaped = this.#inShape(weights.values);
  }

  #inShape(values: TF.Tensor1D): readonly TF.Tensor[] {
    const tf = this.#tf;
    return tf.tidy(() => {
      const parts = tf.split(
        values,
        this.specs.map(({ shape }) => sizeOf(shape)),
      );
      return parts.map((part, index) => part.reshape([...(this.specs[index]?.shape ?? [])]));
    });
  }
}

/** How many numbers a tensor of this shape has. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function firstValues(specs: readonly WeightSpec[], seed: number): Float32Array {
  const parts = specs.map(({ name, shape }, index) => {
    const part = new Float32Array(sizeOf(shape));
    if (name === 'bias') return part;
    const random = randomOf(seed, index);
    // What one output sums up, and what one input goes into.
    const window = sizeOf(shape.slice(0, -2));
    const [ins = 0, outs = 0] = shape.slice(-2);
    const limit = Math.sqrt(6 / (window * (ins + outs)));
    return part.map(() => (2 * random.next() - 1) * limit);
  });
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  for (const part of parts) {
    all.set(part, from);
    from += part.length;
  }
  return all;
}
