import { isPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Peers } from '../clients.ts';
import { choose, refusal } from './adoption.ts';
import type { DoneTraining } from './artifact.ts';
import type { InUse } from './in-use.ts';
import type { KnownNetwork, Networks } from './networks.ts';
import { asks, type CallCompute } from './predictions.ts';
import type { AdoptionRule } from './settings.ts';
import { doneTrainings, networkOf, type TrainingsOptions } from './trainings.ts';

/** What a {@link Watcher} works with. */
export interface WatcherOptions extends TrainingsOptions {
  readonly compute: TrainingsOptions['compute'] & CallCompute & Pick<Peers['compute'], 'listWorkers'>;
  readonly networks: Networks;
  readonly inUse: InUse;
  readonly rule: AdoptionRule;
  readonly log: Log;
}

/** A start may take as long as a call may wait for one, in seconds. */
const START_SECONDS = 300;
/** Who has not answered so often, though a worker was there, is refused: three starts that fail break a runner. */
const MOST_TRIES = 5;
/** For how many looks a network is passed over that has no worker, while there are others. */
const LOOKS_PASSED_OVER = 12;
/** How many pages of earlier trainings the first look takes; others take one. */
const FIRST_PAGES = 10;
/** A network that nobody asks is asked by ourselves before its runner ends, which is after ten minutes, in milliseconds. */
const KEEP_WARM_MS = 240_000;

/**
 * Looks for networks that trainings have left, warms one that may take the place of that in use, and puts it there. All that
 * is decided stands in the database: several services that look at the same do the same.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #draining = new Set<Promise<void>>();
  /** How often networks were asked in vain, by their trainings. */
  readonly #tries = new Map<string, number>();
  /** For how many looks networks are passed over whose worker is not there, by their trainings. */
  readonly #waiting = new Map<string, number>();
  /** Where the next look goes on among trainings that were ordered earlier. */
  #earlier: string | undefined;
  /** How many pages of them it takes. */
  #pages = FIRST_PAGES;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  /** Looks once. Throws where compute-api, storage-api or the database do not answer: look again later. */
  async look(): Promise<void> {
    const { networks } = this.#options;
    try {
      await this.#follow(await networks.list());
      await this.#find();
      const next = await this.#next(this.#awake(await networks.list()));
      if (next !== undefined && (await this.#warm(next))) await this.#adopt(next);
    } finally {
      // Whatever fails of others: the one in use is asked.
      await this.#keepWarm();
    }
  }

  /** Resolves when all that were replaced have answered what they were asked. */
  async drained(): Promise<void> {
    await Promise.all(this.#draining);
  }

  /** What the database says is in use answers here, too: after a start, and where another service has adopted it. */
  async #follow(all: readonly KnownNetwork[]): Promise<void> {
    const { networks, inUse } = this.#options;
    const current = all.find(({ state }) => state === 'current');
    if (current !== undefined && inUse.network?.training !== current.training)
      await this.#use(current, { isWarm: false });
    if (this.#draining.size > 0) return;
    for (const { state, training, reason } of all)
      if (state === 'draining') await networks.note(training, 'retired', reason);
  }

  async #find(): Promise<void> {
    const { rule } = this.#options;
    // The last trial of a search is not what the search has found: only by its accuracy may one be used.
    const trials = rule.adopt !== 'newest';
    const newest = await doneTrainings(this.#options, { trials });
    const pages = [newest];
    // One that was ordered long ago may have ended now: each look takes one more page, and then begins again.
    let cursor = this.#earlier ?? newest.next;
    for (let left = this.#pages; cursor !== undefined && left > 0; left -= 1) {
      const earlier = await doneTrainings(this.#options, { trials, cursor });
      pages.push(earlier);
      cursor = earlier.next;
    }
    // What was found last is the newest: at first they are taken in the order in which they were ordered.
    await this.#take(pages.toReversed().flatMap(({ items }) => items));
    this.#earlier = cursor;
    this.#pages = 1;
  }

  async #take(items: readonly DoneTraining[]): Promise<void> {
    const { networks, storage } = this.#options;
    const known = await networks.known(items.map(({ training }) => training));
    for (const done of items) {
      if (known.has(done.training)) continue;
      const found = await networkOf(storage, done);
      if ('reason' in found) this.#options.log.warn({ training: done.training }, found.reason);
      await networks.add([found]);
    }
  }

  /** All but the candidates that wait for a worker, for some looks, so that others get their turn; all where no other is there. */
  #awake(all: readonly KnownNetwork[]): readonly KnownNetwork[] {
    const awake = all.filter(({ training }) => !this.#waiting.has(training));
    for (const [training, looks] of this.#waiting)
      if (looks > 1) this.#waiting.set(training, looks - 1);
      else this.#waiting.delete(training);
    return awake.some(isOpen) ? awake : all;
  }

  /** The next to be warmed: the one that somebody asked for, else the one that the rule chooses; those that it refuses are. */
  async #next(all: readonly KnownNetwork[]): Promise<KnownNetwork | undefined> {
    const { networks, rule } = this.#options;
    const current = all.find(({ state }) => state === 'current');
    const open = all.filter(isOpen);
    const wanted = open.find((network) => network.wanted);
    if (wanted !== undefined) return wanted;
    const chosen = choose(open, rule);
    if (chosen === undefined) return undefined;
    const network = open.find(({ training }) => training === chosen.training);
    const why = refusal(chosen, current, rule);
    if (why === undefined) return network;
    await networks.note(chosen.training, 'refused', `It is not used: ${why}.`);
    return await this.#next(all.filter(({ training }) => training !== chosen.training));
  }

  /** Starts the runner of a network by asking it of a picture that is black; false where it cannot be used. */
  async #warm(network: KnownNetwork): Promise<boolean> {
    const { compute, networks, log } = this.#options;
    const { training } = network;
    await networks.note(training, 'warming', network.reason);
    try {
      await asks(network, compute, START_SECONDS)(blank(network));
      return true;
    } catch (error) {
      if (!isPlatformError(error)) throw error;
      const tries = (this.#tries.get(training) ?? 0) + 1;
      this.#tries.set(training, tries);
      const reason = `It could not be asked: ${error.message}`;
      if (error.retry) {
        await networks.note(training, 'warming', reason);
        const hasWorker = await this.#hasWorker(network);
        if (!hasWorker) this.#waiting.set(training, LOOKS_PASSED_OVER);
        if (!hasWorker || tries < MOST_TRIES) throw error;
      }
      log.warn({ training, error }, 'A network cannot be used');
      await networks.note(training, 'refused', reason);
      return false;
    }
  }

  /** Whether a worker lives that could have answered: then it was the network that did not. */
  async #hasWorker({ labels }: KnownNetwork): Promise<boolean> {
    const { items } = await this.#options.compute.listWorkers({});
    const wanted = Object.entries(labels);
    return items.some(
      (worker) => worker.alive && wanted.every(([key, value]) => worker.labels?.[key] === value),
    );
  }

  async #adopt(network: KnownNetwork): Promise<void> {
    const { networks, rule, log } = this.#options;
    if (!(await networks.adopt(network.training, rule))) return;
    const { training, digest, accuracy } = network;
    log.info({ training, digest, accuracy }, 'Another network is in use');
    await this.#use(network, { isWarm: true });
  }

  async #use(network: KnownNetwork, how: { readonly isWarm: boolean }): Promise<void> {
    const { inUse } = this.#options;
    const draining = inUse.use(network, how).finally(() => this.#draining.delete(draining));
    this.#draining.add(draining);
    await undefined;
  }

  async #keepWarm(): Promise<void> {
    const { inUse, log } = this.#options;
    if (inUse.network === undefined || inUse.idleMs < KEEP_WARM_MS) return;
    await inUse
      .ask(async (network) => blank(network))
      .catch((error: unknown) => {
        log.warn({ error }, 'The network in use does not answer');
      });
  }
}

/** Whether it may still be chosen. */
function isOpen({ state }: KnownNetwork): boolean {
  return state === 'candidate' || state === 'warming';
}

/** A picture that is black. */
function blank({ width, height, channels }: Pick<KnownNetwork, 'width' | 'height' | 'channels'>): Uint8Array {
  return new Uint8Array(width * height * channels);
}
