import { freemem } from 'node:os';
import { abortable } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { SparePlan } from './plan.ts';

/** How many spare containers are kept, and for how long. */
export interface SpareLimits {
  /** Of all images together; 0: none. */
  readonly most: number;
  /** Of one image. */
  readonly perImage: number;
  /** What all that wait may take of the memory of the machine, in bytes. */
  readonly memoryBytes: number;
  /** How long one waits that nobody needs, in milliseconds. */
  readonly idleMs: number;
}

/** What a pool needs of a spare container. */
export interface PooledSpare extends AsyncDisposable {
  readonly waits: boolean;
  readonly gone: Promise<void>;
  pause(): Promise<void>;
}

/** What a {@link SparePool} works with. */
export interface SparePoolOptions<S extends PooledSpare> {
  readonly limits: SpareLimits;
  readonly start: (plan: SparePlan, signal: AbortSignal) => Promise<S>;
  readonly log: Log;
  /** How much memory the machine has to give, in bytes. */
  readonly freeBytes?: () => number;
}

/** One waits or is being started. */
interface Entry<S> {
  readonly plan: SparePlan;
  readonly starting: Promise<S>;
  readonly since: number;
  /** It was started for a run that was near, and not because its like had run. */
  readonly isNear: boolean;
  readonly timers: NodeJS.Timeout[];
}

/** What a container takes whose program does not run: its shim, its init and the gate, and what the kernel has of it; in bytes. */
export const WAITING_BYTES = 16 * 1024 ** 2;
/** One that waits so long is halted, in milliseconds. */
const PAUSE_MS = 10_000;
/** One that waited so long makes place for another, in milliseconds: where two take turns, neither would ever be ready. */
const SETTLED_MS = 60_000;
/** How long none is started of a plan that failed, in milliseconds. */
const FAILED_MS = 600_000;
/** Plans are remembered of so many kinds of runs. */
const REMEMBERED = 100;
/** One that follows a run is started so much later, in milliseconds: not while what the run left is taken and told. */
const AFTER_MS = 200;

/**
 * The spare containers of a worker: which are kept, and who has them. One is started when its run is near, or when its like
 * ran twice lately. Each is for one run.
 */
export class SparePool<S extends PooledSpare> {
  readonly #options: SparePoolOptions<S>;
  readonly #entries = new Set<Entry<S>>();
  readonly #removals = new Set<Promise<void>>();
  /** When runs like these ended last, and failed to start, by their keys; by the monotonic clock. */
  readonly #ranAt = new Map<string, number>();
  readonly #failedAt = new Map<string, number>();
  readonly #closing = new AbortController();
  #problem: string | undefined;

  constructor(options: SparePoolOptions<S>) {
    this.#options = options;
  }

  /** Why the last one could not be started; undefined where that went well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Hands over one of this key, and waits for it where it is being started; undefined where there is none. */
  async take(key: string, signal: AbortSignal): Promise<S | undefined> {
    for (const entry of this.#entries) {
      if (entry.plan.key !== key) continue;
      this.#forget(entry);
      try {
        const spare = await abortable(entry.starting, signal);
        if (spare.waits) return spare;
      } catch (error) {
        this.#remove(entry);
        signal.throwIfAborted();
        this.#options.log.debug({ error }, 'A container that was to be started ahead was not');
        return undefined;
      }
      this.#remove(entry);
    }
    return undefined;
  }

  /** That a run of this plan has ended: another of its like is started, if one ran lately before. */
  ended(plan: SparePlan): void {
    const now = performance.now();
    const before = this.#ranAt.get(plan.key);
    this.#ranAt.delete(plan.key);
    this.#ranAt.set(plan.key, now);
    for (const [key] of this.#ranAt) if (this.#ranAt.size > REMEMBERED) this.#ranAt.delete(key);
    if (before === undefined || now - before > this.#options.limits.idleMs) return;
    setTimeout(() => this.#want(plan, false), AFTER_MS).unref();
  }

  /** That a run of this plan is near: one is started for it, in the place of one that only its like made wanted. */
  near(plan: SparePlan): void {
    this.#want(plan, true);
  }

  /** Removes those for which `unless` is not true; all where it is absent. */
  async clear(unless: (plan: SparePlan) => Promise<boolean> = async () => false): Promise<void> {
    for (const entry of this.#entries) if (!(await unless(entry.plan))) this.#drop(entry);
    await Promise.all(this.#removals);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The worker stops.'));
    for (const entry of this.#entries) this.#drop(entry);
    while (this.#removals.size > 0) await Promise.all(this.#removals);
  }

  /** Starts one unless there is one of its key, or no room for it. */
  #want(plan: SparePlan, isNear: boolean): void {
    const { freeBytes = freemem } = this.#options;
    const failedAt = this.#failedAt.get(plan.key) ?? Number.NEGATIVE_INFINITY;
    if (this.#closing.signal.aborted || performance.now() - failedAt < FAILED_MS) return;
    if ([...this.#entries].some((entry) => entry.plan.key === plan.key)) return;
    if (freeBytes() < plan.memoryBytes + WAITING_BYTES || !this.#makesRoom(plan, isNear)) return;
    this.#start(plan, isNear);
  }

  /** Whether there is room for one more, after the removal of one that waits where that makes it. */
  #makesRoom({ image }: SparePlan, isNear: boolean): boolean {
    const { limits } = this.#options;
    const most = Math.min(limits.most, Math.floor(limits.memoryBytes / WAITING_BYTES));
    const all = [...this.#entries];
    const ofImage = all.filter((entry) => entry.plan.image.id === image.id);
    const isFullOfImage = ofImage.length >= limits.perImage;
    if (!isFullOfImage && all.length < most) return true;
    const settledAt = performance.now() - SETTLED_MS;
    const inTheWay = (isFullOfImage ? ofImage : all).find(
      (entry) => entry.since < settledAt || (isNear && !entry.isNear),
    );
    if (most === 0 || inTheWay === undefined) return false;
    this.#drop(inTheWay);
    return true;
  }

  #start(plan: SparePlan, isNear: boolean): void {
    const { log } = this.#options;
    const { signal } = this.#closing;
    const starting = this.#options.start(plan, signal);
    const entry: Entry<S> = { plan, starting, isNear, since: performance.now(), timers: [] };
    this.#entries.add(entry);
    void starting.then(
      (spare) => this.#waits(entry, spare),
      (error: unknown) => {
        this.#forget(entry);
        if (signal.aborted) return;
        this.#failedAt.set(plan.key, performance.now());
        this.#problem = error instanceof Error ? error.message : String(error);
        log.warn({ error, image: plan.image.name }, 'A container could not be started ahead');
      },
    );
  }

  #waits(entry: Entry<S>, spare: S): void {
    this.#problem = undefined;
    if (!this.#entries.has(entry)) return;
    const after = (ms: number, work: () => void) => entry.timers.push(setTimeout(work, ms).unref());
    after(PAUSE_MS, () => void spare.pause().catch(() => undefined));
    after(this.#options.limits.idleMs, () => this.#drop(entry));
    void spare.gone.then(() => {
      if (this.#entries.has(entry)) this.#drop(entry);
    });
  }

  #forget(entry: Entry<S>): void {
    this.#entries.delete(entry);
    for (const timer of entry.timers) clearTimeout(timer);
  }

  #drop(entry: Entry<S>): void {
    this.#forget(entry);
    this.#remove(entry);
  }

  /** Removes it behind, also where it is still being started; what cannot be removed now is left to a sweep. */
  #remove({ starting, plan }: Entry<S>): void {
    const { log } = this.#options;
    const removal: Promise<void> = starting
      .then(
        async (spare) => await spare[Symbol.asyncDispose](),
        () => undefined,
      )
      .catch((error: unknown) =>
        log.warn({ error, image: plan.image.name }, 'A spare container could not be removed yet'),
      )
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }
}
