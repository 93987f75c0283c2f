import { isPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Batches, Given } from './batches.ts';

/** Follows the samples that are on their way: each is settled when it has left, or when its connection broke. */
export class Giving implements AsyncDisposable {
  readonly #batches: Batches;
  readonly #log: Log;
  readonly #settling = new Set<Promise<void>>();

  constructor(batches: Batches, log: Log) {
    this.#batches = batches;
    this.#log = log;
  }

  /** Makes what was given into an answer, which is lost where that fails, and settled as `sent` says. */
  async answer<T>(
    given: Given,
    sent: Promise<'whole' | 'cut'> | undefined,
    make: () => Promise<T>,
  ): Promise<T> {
    try {
      const answer = await make();
      this.#follow(given, sent ?? Promise.resolve('whole'));
      return answer;
    } catch (error) {
      await this.#settle(given, 'lost');
      throw error;
    }
  }

  #follow(given: Given, sent: Promise<'whole' | 'cut'>): void {
    const settled = this.#settleWhen(sent, given);
    this.#settling.add(settled);
    void settled.then(() => this.#settling.delete(settled));
  }

  async #settleWhen(sent: Promise<'whole' | 'cut'>, given: Given): Promise<void> {
    await this.#settle(given, (await sent) === 'whole' ? 'given' : 'lost');
  }

  async #settle(given: Given, outcome: 'given' | 'lost'): Promise<void> {
    try {
      await this.#batches.settle(given, outcome);
    } catch (error) {
      const { batch, sample } = given;
      const level = isPlatformError(error, 'unavailable') ? 'warn' : 'error';
      this.#log[level]({ error, batch: batch.id, sample }, 'a sample may be given twice');
    }
  }

  /** Resolves when all that has left is written down. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#settling);
  }
}
