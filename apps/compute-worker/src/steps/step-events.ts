import { type End, type FoundFailure, OrderFailure, type Step, type StepRecord } from '@morpheo/common';
import type { AttemptEvents } from '../attempt/events.ts';

/** What came of the work of a step; it goes into the record that is sent at the step's end. */
export interface StepOutcome extends Omit<StepRecord, 'step' | 'seconds'> {
  /** For how long its container ran, also before this process adopted it. */
  readonly ranSeconds?: number;
}

/** A step whose container did not exit with 0. */
export class StepFailure extends OrderFailure {
  readonly outcome: StepOutcome;

  constructor(end: End, found: FoundFailure, outcome: StepOutcome) {
    super(end, found);
    this.outcome = outcome;
  }
}

/** A step from its start to its end, both of which are sent. Its work may be done in pieces, side by side. */
export class StepSpan {
  readonly #events: Pick<AttemptEvents, 'note'>;
  readonly #step: Step;
  #pieces: number;
  #outcome: StepOutcome = {};
  #startedAt: number | undefined;

  constructor(events: Pick<AttemptEvents, 'note'>, step: Step, pieces = 1) {
    this.#events = events;
    this.#step = step;
    this.#pieces = pieces;
  }

  /** Does one piece of the work. The step starts with the first, and ends with the last, also where it throws. */
  async piece<T>(work: () => Promise<T>, outcomeOf: (value: T) => StepOutcome = () => ({})): Promise<T> {
    this.start();
    let outcome: StepOutcome = {};
    try {
      const value = await work();
      outcome = outcomeOf(value);
      return value;
    } finally {
      this.end(outcome);
    }
  }

  /** Sends that the step started, once. */
  start(): void {
    if (this.#startedAt !== undefined) return;
    this.#startedAt = performance.now();
    this.#events.note({ what: 'started', step: this.#step });
  }

  /** Ends a piece, and sends that the step ended where it is the last. A step is `cached` where all its pieces are. */
  end(outcome: StepOutcome): void {
    const cached =
      outcome.cached === undefined ? {} : { cached: outcome.cached && this.#outcome.cached !== false };
    this.#outcome = { ...this.#outcome, ...outcome, ...cached };
    this.#pieces -= 1;
    if (this.#pieces > 0) return;
    const { ranSeconds = 0, ...facts } = this.#outcome;
    const measured = Math.round(performance.now() - (this.#startedAt ?? 0)) / 1000;
    const seconds = facts.cached === true ? measured : Math.max(measured, ranSeconds);
    this.#events.note({ what: 'ended', record: { step: this.#step, seconds, ...facts } });
  }
}
