import type { Score } from '../network/score.ts';

/** What is told of an epoch: a line of `metrics.jsonl`. */
export interface EpochLine {
  readonly epoch: number;
  /** The mean cross entropy of the pictures that the accuracy is measured on. */
  readonly loss: number;
  /** The share of them that were given their own category. */
  readonly accuracy: number;
  /** The same of the pictures that were learnt, as they were learnt. */
  readonly train_loss: number;
  readonly train_accuracy: number;
  readonly seconds: number;
  readonly engine: string;
  readonly device: string;
  /** How many pictures were learnt. */
  readonly pictures: number;
}

/** The weights of an epoch, with how well they do. */
export interface Reached {
  readonly epoch: number;
  readonly accuracy: number;
  readonly loss: number;
  readonly values: Float32Array;
}

/** How far a training has come within an epoch. */
export interface Within {
  /** How many batches of the epoch are done. */
  readonly batch: number;
  readonly score: Score;
  readonly seconds: number;
}

/**
 * All that a training goes on from. Nothing that is drawn at random has a position of its own: it follows from the seed,
 * the epoch and the batch.
 */
export interface TrainingState {
  /** How many epochs are done, since the network was made. */
  readonly epoch: number;
  /** Those of this run. */
  readonly lines: readonly EpochLine[];
  /** The most accurate so far; of several the first. */
  readonly best: Reached | undefined;
  /** The epoch that early stopping counts from, and its accuracy. */
  readonly improved: { readonly epoch: number; readonly accuracy: number } | undefined;
  readonly within: Within | undefined;
  readonly values: Float32Array;
  readonly optimizer: { readonly slots: readonly Float32Array[]; readonly step: number };
}
