import { type Random, randomOf, shuffled } from '../random.ts';
import { bytesOf, type Labelled } from './labelled.ts';
import { writeNoisy } from './noise.ts';

/** Pictures that are computed together. */
export interface Batch {
  /** Values from 0 to 1, picture by picture. */
  readonly values: Float32Array;
  readonly labels: Int32Array;
}

/** How the pictures of an epoch are drawn. */
export interface Drawing {
  readonly seed: number;
  readonly epoch: number;
  readonly batchSize: number;
  /** How probable turning and scaling are, from 0 to 1. */
  readonly noise: number;
}

/** How many batches pictures make. */
export function batchCount({ labels }: Labelled, batchSize: number): number {
  return Math.ceil(labels.length / batchSize);
}

/**
 * The batches of an epoch from batch `first` on: each picture once, in an order of that epoch, with noise of that epoch.
 * They depend on the pictures and `drawing` alone, so that a training can go on in the middle of an epoch.
 */
export function* epochBatches(pictures: Labelled, drawing: Drawing, first: number): Generator<Batch> {
  const { seed, epoch, batchSize, noise } = drawing;
  const order = shuffled(pictures.labels.length, randomOf(seed, epoch, ORDER));
  for (let from = first * batchSize; from < order.length; from += batchSize) {
    const numbers = order.subarray(from, from + batchSize);
    const draw =
      noise === 0
        ? undefined
        : { noise, randomFor: (number: number) => randomOf(seed, epoch, number, NOISE) };
    yield batchOf(pictures, numbers, draw);
  }
}

/** All pictures in their order, in batches, as they are. */
export function* plainBatches(pictures: Labelled, batchSize: number): Generator<Batch> {
  const count = pictures.labels.length;
  const all = Uint32Array.from({ length: count }, (_, number) => number);
  for (let from = 0; from < count; from += batchSize)
    yield batchOf(pictures, all.subarray(from, from + batchSize), undefined);
}

/** What numbers are drawn for, so that none are drawn twice. */
const [ORDER, NOISE] = [0x6f726472, 0x6e6f6973];

interface Draw {
  readonly noise: number;
  randomFor(number: number): Random;
}

function batchOf(pictures: Labelled, numbers: Uint32Array, draw: Draw | undefined): Batch {
  const size = bytesOf(pictures);
  const values = new Float32Array(numbers.length * size);
  for (const [place, number] of numbers.entries()) {
    if (draw !== undefined) {
      const random = draw.randomFor(number);
      writeNoisy(pictures, number, { noise: draw.noise, random }, values, place * size);
      continue;
    }
    const from = number * size;
    for (let index = 0; index < size; index += 1)
      values[place * size + index] = (pictures.pixels[from + index] ?? 0) / 255;
  }
  return { values, labels: Int32Array.from(numbers, (number) => pictures.labels[number] ?? 0) };
}
