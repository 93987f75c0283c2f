import {
  hasEnded,
  isPlatformError,
  type JobStatus,
  KeyedLock,
  type OrderView,
  PlatformError,
  sleep,
} from '@morpheo/common';
import { type ComputeCalls, callPeer } from '../clients.ts';
import type { Models } from '../models/models.ts';
import { isBucketName } from '../store/store.ts';
import { cleanStorage, copyOutputs, type EndParts } from './ends.ts';
import { type CallbackTokens, orderOf } from './ids.ts';
import { News } from './news.ts';
import type { JobRecord } from './record.ts';
import { JOB_LABEL } from './starts.ts';
import { failedBy, type Standing, statusOf } from './status.ts';

/** What jobs are looked after with. */
export interface JobParts extends EndParts {
  readonly record: JobRecord;
  readonly compute: Pick<ComputeCalls, 'getOrder' | 'listOrders'>;
  readonly models: Pick<Models, 'nameOf'>;
  readonly tokens: CallbackTokens;
  /** By which the jobs of this service are found among all orders; the first is asked for. */
  readonly labels: Readonly<Record<string, string>>;
  /** How long `wait` waits, in milliseconds. */
  readonly waitMs: number;
  /** How often `wait` asks by itself, in milliseconds: another process may have heard of the end. */
  readonly askMs: number;
}

/** What a job has that ended, and whose outputs are not in its bucket yet. */
const NOT_ENDED = { status: 'processing', error_details: null, finished_at: null } as const;

const LATE = Symbol('late');

/** What a call resolves to, or {@link LATE} where that takes longer than `ms`; it goes on then. Rejects where the signal aborts. */
async function within<T>(
  ms: number,
  call: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | typeof LATE> {
  const over = new AbortController();
  const signals = signal === undefined ? [over.signal] : [over.signal, signal];
  try {
    const late = sleep(Math.max(0, ms), AbortSignal.any(signals)).then((): typeof LATE => LATE);
    return await Promise.race([call, late]);
  } finally {
    over.abort();
  }
}

/** How many jobs the sweep mends at a time. */
const SWEPT_AT_ONCE = 8;

/**
 * Jobs by their ids. How one stands is what its order says; its bucket is brought up to date when the order has ended, by
 * whoever notices first: the callback, any request about it, or the sweep.
 */
export class Jobs {
  readonly #parts: JobParts;
  readonly #settling = new KeyedLock();
  readonly #news = new News();

  constructor(parts: JobParts) {
    this.#parts = parts;
  }

  /** How a job stands; undefined where there is none. */
  async standing(job: string): Promise<Standing | undefined> {
    if (!isBucketName(job)) return undefined;
    const status = await this.#parts.record.ended(job);
    return status === undefined ? await this.#settle(job) : { status, ended: true };
  }

  /** Waits for the end of a job; at the latest, how it stands after {@link JobParts.waitMs}. Undefined where there is none. */
  async wait(job: string, signal: AbortSignal | undefined): Promise<Standing | undefined> {
    const { waitMs, askMs } = this.#parts;
    const until = performance.now() + waitMs;
    using news = this.#news.follow(job);
    // Outputs may take long to be brought into the bucket: whoever waits is answered all the same.
    const look = async () => await within(until - performance.now(), this.standing(job), signal);
    let known = await look();
    if (known === LATE) return await this.#soFar(job);
    for (;;) {
      const left = until - performance.now();
      if (known?.ended !== false || left <= 0) return known;
      const told = await news.next(Math.min(left, askMs), signal);
      if (told !== undefined) return told;
      // What is away for a moment is waited for, too.
      const found = await look().catch((error: unknown) => {
        if (isPlatformError(error, 'unavailable') && signal?.aborted !== true) return known;
        throw error;
      });
      if (found === LATE) return await this.#soFar(job);
      known = found;
    }
  }

  /** How a job stands whose bucket is not up to date in time. */
  async #soFar(job: string): Promise<Standing | undefined> {
    const order = await this.#order(job);
    if (order === undefined || !hasEnded(order.status)) return order && this.#standingOf(order);
    const { status } = this.#standingOf(order);
    return { status: { ...status, ...NOT_ENDED }, ended: false };
  }

  /** The callback of an order: resolves when the bucket of the job is up to date. Throws `forbidden` for a wrong token. */
  async ended(job: string, token: string): Promise<void> {
    if (!isBucketName(job) || !this.#parts.tokens.fits(job, token))
      throw new PlatformError('forbidden', 'This is not the callback of an order.');
    await this.#settle(job);
  }

  /** Brings the buckets of all jobs up to date whose orders have ended; those that cannot be are logged. */
  async sweep(signal: AbortSignal): Promise<void> {
    const [label] = Object.entries(this.#parts.labels).map(([name, value]) => `${name}=${value}`);
    for (const status of ['failed', 'cancelled', 'done'] as const) {
      let cursor: string | undefined;
      do {
        const query = { label, status, cursor, limit: 200 };
        const page = await callPeer(
          async (stop) => await this.#parts.compute.listOrders({ query }, { signal: stop }),
        );
        const jobs = page.items.flatMap((order) => order.job?.labels?.[JOB_LABEL] ?? []);
        for (let at = 0; at < jobs.length; at += SWEPT_AT_ONCE) {
          signal.throwIfAborted();
          await Promise.all(jobs.slice(at, at + SWEPT_AT_ONCE).map(async (job) => await this.#mend(job)));
        }
        cursor = page.next;
      } while (cursor !== undefined);
    }
  }

  async #mend(job: string): Promise<void> {
    try {
      if ((await this.#parts.record.ended(job)) === undefined) await this.#settle(job);
    } catch (error) {
      this.#parts.log.warn({ job, error }, 'The bucket of a job cannot be brought up to date yet');
    }
  }

  /** How a job stands by its order; its bucket is up to date where that has ended. */
  async #settle(job: string): Promise<Standing | undefined> {
    const before = await this.#order(job);
    if (before === undefined) return undefined;
    if (!hasEnded(before.status)) return this.#standingOf(before);
    using _ = await this.#settling.hold(job);
    return await this.#finish(job, before);
  }

  async #finish(job: string, order: OrderView): Promise<Standing | undefined> {
    const { record, log } = this.#parts;
    let standing: Standing;
    try {
      standing = { status: await this.#bring(job, order), ended: true };
      this.#news.tell(job, standing);
    } catch (error) {
      this.#news.tell(job, undefined);
      if (!isPlatformError(error, 'not_found')) throw error;
      // Another process, which was faster, has removed from storage what it had copied.
      const told = await record.ended(job);
      if (told !== undefined) return { status: told, ended: true };
      log.warn({ job, error }, 'The bucket of a job that has ended is gone');
      return undefined;
    }
    await cleanStorage(this.#parts, job, order);
    return standing;
  }

  /** Brings what an order has left, and how it ended, into the bucket of its job; resolves to what that says. */
  async #bring(job: string, order: OrderView): Promise<JobStatus> {
    const { record } = this.#parts;
    const { status } = this.#standingOf(order);
    const told = await record.ended(job);
    if (told?.status === 'failed' || told?.status === status.status) return told;
    const wrong = order.status === 'done' ? await copyOutputs(this.#parts, job, order) : undefined;
    const end = wrong === undefined ? status : failedBy(status, wrong);
    await record.end(job, end);
    return end;
  }

  #standingOf(order: OrderView): Standing {
    return { status: statusOf(order, this.#parts.models.nameOf(order)), ended: hasEnded(order.status) };
  }

  async #order(job: string): Promise<OrderView | undefined> {
    const { compute } = this.#parts;
    try {
      return await callPeer(
        async (signal) => await compute.getOrder({ params: { id: orderOf(job) } }, { signal }),
      );
    } catch (error) {
      if (isPlatformError(error, 'not_found')) return undefined;
      throw error;
    }
  }
}
