import { isPlatformError, PlatformError } from '@morpheo/common';
import type { Network } from './artifact.ts';
import { type Ask, asks, type CallCompute } from './predictions.ts';

/** What an {@link InUse} works with. */
export interface InUseOptions {
  readonly compute: CallCompute;
  /** How long an answer may take, in milliseconds, a second try included. */
  readonly answerMs: number;
}

/** What a network has said of a picture, and which one that was. */
export interface Said {
  readonly network: Network;
  /** By index. */
  readonly probabilities: readonly number[];
}

interface Used {
  readonly network: Network;
  readonly ask: Ask;
  /** Of requests that it has still to answer. */
  open: number;
  /** Is called when it has none any more, once it was replaced. */
  drained?: () => void;
}

/**
 * The network that answers in this process. Another one takes its place between two requests: each is answered by the one
 * that it was given to, so that none is dropped. A call that broke (its runner or worker is gone) is made once more, of the
 * network that is in use then.
 */
export class InUse {
  readonly #options: InUseOptions;
  readonly #clock: () => number;
  #used: Used | undefined;
  /** When it was asked for the last time. */
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: InUseOptions, clock: () => number = () => performance.now()) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Undefined where there is none. */
  get network(): Network | undefined {
    return this.#used?.network;
  }

  /** For how long it was not asked, in milliseconds. */
  get idleMs(): number {
    return this.#clock() - this.#askedAt;
  }

  /**
   * Has a network answer from now on, which `isWarm` where it was just asked; resolves when the one before has answered all
   * that it was asked.
   */
  async use(network: Network, { isWarm }: { readonly isWarm: boolean }): Promise<void> {
    const before = this.#used;
    this.#askedAt = isWarm ? this.#clock() : Number.NEGATIVE_INFINITY;
    const waitSeconds = Math.max(1, Math.floor(this.#options.answerMs / 1000));
    this.#used = { network, ask: asks(network, this.#options.compute, waitSeconds), open: 0 };
    if (before === undefined || before.open === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    before.drained = resolve;
    await promise;
  }

  /**
   * Asks the network in use about a picture; `fit` makes its pixels of the size that the network takes. Throws `wrong_state`
   * where there is no network, `unavailable` and `deadline_passed` where the second try broke as well, and what `fit` throws.
   */
  async ask(fit: (network: Network) => Promise<Uint8Array>): Promise<Said> {
    const until = this.#clock() + this.#options.answerMs;
    try {
      return await this.#askOnce(fit, until);
    } catch (error) {
      if (!isPlatformError(error, 'unavailable') || this.#clock() >= until) throw error;
      return await this.#askOnce(fit, until);
    }
  }

  async #askOnce(fit: (network: Network) => Promise<Uint8Array>, until: number): Promise<Said> {
    const used = this.#used;
    if (used === undefined)
      throw new PlatformError(
        'wrong_state',
        'No network is in use yet: order a training, or adopt the network of one (POST /v1/networks).',
      );
    used.open += 1;
    try {
      const pixels = await fit(used.network);
      this.#askedAt = this.#clock();
      const probabilities = await within(
        until - this.#clock(),
        async (signal) => await used.ask(pixels, signal),
      );
      return { network: used.network, probabilities };
    } finally {
      used.open -= 1;
      if (used.open === 0) used.drained?.();
    }
  }
}

/** What some work brings; throws `unavailable` where that takes longer than `ms`, and aborts its signal then. */
async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const message = 'No runner of the network has answered in time; try again in a moment.';
  const given = new AbortController();
  const giveUp = () => {
    const error = new PlatformError('unavailable', message);
    reject(error);
    given.abort(error);
  };
  const timer = setTimeout(giveUp, Math.max(0, ms));
  try {
    return await Promise.race([work(given.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}
