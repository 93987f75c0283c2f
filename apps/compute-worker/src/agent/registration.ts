import {
  type Api,
  abortable,
  type CallExchange,
  type CallsExchanged,
  type Claim,
  type ComputeContract,
  type Input,
  isPlatformError,
  ORDER_KINDS,
  type Output,
  PlatformError,
  type RunnerProtocol,
  retry,
  type Slots,
  withTimeout,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { callPeer } from '../clients.ts';
import type { GpuAllocator } from '../gpus/allocator.ts';
import type { FoundArchitecture } from './architecture.ts';

type Endpoints = ComputeContract['endpoints'];

/** What a worker says of itself. */
export type WorkerInfo = Input<Endpoints['registerWorker']>['body'];

/** How long a lease holds, and how often it is to be renewed, in milliseconds. */
export type LeaseTerms = Output<Endpoints['registerWorker']>;

/** What came of a renewal. */
export type Renewal = Output<Endpoints['renewLeases']>;

/** An attempt that a worker holds. */
export type Held = Renewal['held'][number];

/** What a worker tells of its calls and runners, without what it tells of itself. */
export type CallNews = Omit<CallExchange, 'boot'>;

/** How many orders of each kind there is room for. */
export type Room = Partial<Slots>;

/** What a claim got, and whether another one at once may get more. */
export interface Claimed {
  readonly claims: readonly Claim[];
  readonly more: boolean;
}

/** Attempts of an earlier process that this one resumes, and when that was asked for, by the monotonic clock. */
export interface Resumption {
  readonly claims: readonly Claim[];
  readonly askedAt: number;
}

/** What a {@link Registration} is made with. */
export interface RegistrationOptions {
  readonly compute: Pick<
    Api<ComputeContract>,
    'registerWorker' | 'claimOrder' | 'renewLeases' | 'exchangeCalls'
  >;
  readonly worker: string;
  readonly info: Omit<WorkerInfo, 'gpus' | 'arch' | 'warm' | 'resume'>;
  /** The architecture that it offers, once that is known. */
  readonly architecture?: Pick<FoundArchitecture, 'name'> | undefined;
  /** The protocols of the programs that it keeps warm; absent: it keeps none. */
  readonly warm?: (() => readonly RunnerProtocol[]) | undefined;
  /** Its attempts are named when the worker registers for the first time. */
  readonly recovery?: { readonly attempts: Held[] } | undefined;
  /** The GPUs that the worker has, and how many are free at a claim. */
  readonly gpus: Pick<GpuAllocator, 'gpus' | 'slots' | 'free'>;
  /** Ends the registration. */
  readonly signal: AbortSignal;
  /** Called when a call finds that another process has this worker's id; the call throws all the same. */
  readonly onSuperseded: (error: unknown) => void;
  readonly log: Log;
}

/** How much longer than it may an answer about calls may take, in milliseconds. */
const LATE_MS = 10_000;

/**
 * A worker as compute-api knows it. The worker registers before any other call, as often as it takes, and again where
 * compute-api has forgotten it. Calls throw `stale_attempt` when another process has taken over the worker's id. A
 * worker that has moved waits until its earlier process has been silent, and throws `conflict` where that one lives.
 */
export class Registration {
  readonly #options: RegistrationOptions;
  #registered: Promise<LeaseTerms> | undefined;
  #resumption: Resumption | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Resolves when compute-api knows this worker. */
  async registered(): Promise<LeaseTerms> {
    this.#registered ??= this.#register();
    return await this.#registered;
  }

  /** Which attempts of an earlier process compute-api leaves to this one; known since it registered. */
  async resumption(): Promise<Resumption> {
    await this.registered();
    return this.#resumption ?? { claims: [], askedAt: 0 };
  }

  /** Registers again with what the worker is now. */
  async reregister(): Promise<void> {
    this.#registered = this.#register();
    await this.#registered;
  }

  /**
   * Claims the next due orders, as many of each kind as there is room for. `signal` ends the wait for a registration. A call
   * under way is awaited, for orders may be this worker's already.
   */
  async claim(room: Room, signal: AbortSignal): Promise<Claimed> {
    const { compute, worker, info, gpus } = this.#options;
    const kinds = ORDER_KINDS.filter((kind) => (room[kind] ?? 0) > 0);
    const claim = async (stop: AbortSignal) => {
      const body = { boot: info.boot, kinds, free_gpus: gpus.free, most: room };
      return await compute.claimOrder({ params: { worker }, body }, { signal: stop });
    };
    const call = async () => await callPeer('compute-api', this.#options.signal, claim);
    // An earlier compute-api hands out one at a time.
    const {
      claim: first,
      claims = first === null ? [] : [first],
      more = first !== null,
    } = await this.#whenRegistered(signal, call);
    return { claims, more };
  }

  /** Renews the leases of these attempts; a call without any is a sign of life. */
  async renew(attempts: Held[], signal: AbortSignal): Promise<Renewal> {
    const { compute, worker, info } = this.#options;
    const body = { boot: info.boot, attempts };
    const call = async () => await compute.renewLeases({ params: { worker }, body }, { signal });
    return await this.#whenRegistered(signal, call);
  }

  /** Tells of calls, and hears of others: see `exchangeCalls` of the contract. The answer may be kept back as long as `news` says. */
  async exchangeCalls(news: CallNews, signal: AbortSignal): Promise<CallsExchanged> {
    const { compute, worker, info } = this.#options;
    const body = { boot: info.boot, ...news };
    const late = () => new PlatformError('unavailable', 'compute-api did not answer about calls in time.');
    const call = async () =>
      await withTimeout(news.wait_ms + LATE_MS, signal, late, async (stop) => {
        return await compute.exchangeCalls({ params: { worker }, body }, { signal: stop });
      });
    return await this.#whenRegistered(signal, call);
  }

  async #whenRegistered<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    await abortable(this.registered(), signal);
    try {
      return await call().catch(async (error: unknown) => {
        if (!isPlatformError(error, 'not_found')) throw error;
        this.#options.log.warn({}, 'compute-api does not know this worker any more; it registers again');
        this.#registered = undefined;
        await abortable(this.registered(), signal);
        return await call();
      });
    } catch (error) {
      if (isPlatformError(error, 'stale_attempt')) this.#options.onSuperseded(error);
      throw error;
    }
  }

  async #register(): Promise<LeaseTerms> {
    const { info, signal, log } = this.#options;
    let warned = false;
    const onRetry = (error: unknown) => {
      if (!warned) log.warn({ error }, 'compute-api does not let this worker register; it is tried again');
      warned = true;
    };
    const register = async () =>
      await callPeer('compute-api', signal, async (stop) => await this.#registerOnce(stop));
    let seenAt: unknown;
    const isOfOthers = (error: unknown): boolean => {
      if (!isPlatformError(error, 'conflict')) return false;
      const before = seenAt;
      seenAt = error.details.seen_at;
      return before !== undefined && before !== seenAt;
    };
    const pauses = { firstMs: 200, mostMs: 2000, jitter: 0.5 };
    const options = { ...pauses, retryIf: (error: unknown) => !isOfOthers(error), onRetry, signal };
    const terms = await retry(register, options).catch((error: unknown) => {
      if (isPlatformError(error, 'conflict')) this.#options.onSuperseded(error);
      throw error;
    });
    log.info({ worker: this.#options.worker, boot: info.boot }, 'Registered with compute-api');
    return terms;
  }

  async #registerOnce(signal: AbortSignal): Promise<LeaseTerms> {
    const { compute, worker, info, architecture, warm = () => [], gpus, recovery } = this.#options;
    const protocols = warm();
    const askedAt = performance.now();
    const devices = gpus.gpus.map(({ id, name, memoryBytes }) => ({ id, name, memory_bytes: memoryBytes }));
    // Named once: when a worker registers again, they run already.
    const resume = this.#resumption === undefined ? (recovery?.attempts ?? []) : [];
    const body = {
      ...info,
      arch: architecture?.name,
      ...(protocols.length === 0 ? {} : { warm: [...protocols] }),
      gpus: { devices, slots: gpus.slots },
      ...(resume.length === 0 ? {} : { resume }),
    };
    const terms = await compute.registerWorker({ params: { worker }, body }, { signal });
    this.#resumption ??= { claims: terms.resumed ?? [], askedAt };
    return terms;
  }
}
