import type { Step, StepRecord } from '@morpheo/common';
import type { AttemptFeed } from './attempt-feed.ts';

/** What is found out about a step while it runs; it goes into the record that is told at its end. */
export type StepFacts = { -readonly [K in keyof Omit<StepRecord, 'step' | 'seconds'>]: StepRecord[K] } & {
  /** For how long its container ran, also before this process took it up. */
  ranSeconds?: number;
};

type Notes = Pick<AttemptFeed, 'note'>;

/** Does the work of a step, and tells when it starts and when, and how, it ends, also where it throws. */
export async function toldStep<T>(
  feed: Notes,
  step: Step,
  work: (facts: StepFacts) => Promise<T>,
): Promise<T> {
  return await new StepOfPieces(feed, step, 1).piece(work);
}

/** A step whose work is done in pieces, side by side: told as started with the first piece and as ended with the last. */
export class StepOfPieces {
  readonly #feed: Notes;
  readonly #step: Step;
  readonly #facts: StepFacts = {};
  #left: number;
  #startedAt: number | undefined;

  constructor(feed: Notes, step: Step, pieces: number) {
    this.#feed = feed;
    this.#step = step;
    this.#left = pieces;
  }

  /** Does one piece; the facts are those of the whole step. */
  async piece<T>(work: (facts: StepFacts) => Promise<T>): Promise<T> {
    if (this.#startedAt === undefined) this.#feed.note({ what: 'started', step: this.#step });
    this.#startedAt ??= performance.now();
    try {
      return await work(this.#facts);
    } finally {
      this.#left -= 1;
      if (this.#left === 0) this.#end(this.#startedAt);
    }
  }

  #end(startedAt: number): void {
    const { ranSeconds = 0, ...facts } = this.#facts;
    const measured = Math.round(performance.now() - startedAt) / 1000;
    const seconds = facts.cached === true ? measured : Math.max(measured, ranSeconds);
    this.#feed.note({ what: 'ended', record: { step: this.#step, seconds, ...facts } });
  }
}
