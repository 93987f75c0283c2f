import {
  type Api,
  type Claim,
  type ComputeContract,
  type Input,
  isPlatformError,
  type OrderKind,
  type Output,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { orAborted } from './abort.ts';
import type { GpuAllocator } from './gpus/gpu-allocator.ts';
import type { Resumption } from './intake.ts';
import type { Leftovers } from './leftovers.ts';
import { answered, patiently } from './patience.ts';

type Endpoints = ComputeContract['endpoints'];

/** What a worker says of itself. */
export type Introduction = Input<Endpoints['registerWorker']>['body'];

/** How long a lease holds, and how often it is to be renewed, in milliseconds. */
export type LeaseTerms = Output<Endpoints['registerWorker']>;

/** What came of a renewal. */
export type Renewal = Output<Endpoints['renewLeases']>;

/** An attempt that a worker holds. */
export type Held = Renewal['held'][number];

/** What a {@link ComputeSession} is opened with. */
export interface SessionOptions {
  readonly compute: Pick<Api<ComputeContract>, 'registerWorker' | 'claimOrder' | 'renewLeases'>;
  readonly worker: string;
  readonly introduction: Omit<Introduction, 'gpus' | 'resume'>;
  /** The attempts of an earlier process that this one could go on with; asked while it registers the first time. */
  readonly leftovers?: Pick<Leftovers, 'attempts'> | undefined;
  /** The GPUs that it has, and how many are free at a claim. */
  readonly gpus: Pick<GpuAllocator, 'gpus' | 'slots' | 'free'>;
  /** Ends the session. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * A worker's standing with compute-api: it registers before anything else, as often as it takes, and again where
 * compute-api has forgotten it. `stale_attempt` leaves it when another process has taken over this worker's id.
 */
export class ComputeSession {
  readonly #options: SessionOptions;
  #registered: Promise<LeaseTerms> | undefined;
  #resumption: Resumption | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Resolves when compute-api knows this worker. */
  async registered(): Promise<LeaseTerms> {
    this.#registered ??= this.#register();
    return await this.#registered;
  }

  /** What of an earlier process's attempts is this one's, since it registered. */
  async resumption(): Promise<Resumption> {
    await this.registered();
    return this.#resumption ?? { claims: [], askedAt: 0 };
  }

  /** Registers again with what the worker is now. */
  async introduceAgain(): Promise<void> {
    this.#registered = this.#register();
    await this.#registered;
  }

  /**
   * Takes the oldest due order of the kinds; null where there is none. `signal` ends the wait for a registration; a
   * call under way is heard out, for the order may be ours already.
   */
  async claim(kinds: OrderKind[], signal: AbortSignal): Promise<Claim | null> {
    const { compute, worker, introduction, gpus } = this.#options;
    const claim = async (stop: AbortSignal) => {
      const body = { boot: introduction.boot, kinds, free_gpus: gpus.free };
      return await compute.claimOrder({ params: { worker }, body }, { signal: stop });
    };
    const answer = await this.#known(signal, () => answered('compute-api', this.#options.signal, claim));
    return answer.claim;
  }

  /** Renews the leases of these attempts; none is a sign of life. */
  async renew(attempts: Held[], signal: AbortSignal): Promise<Renewal> {
    const { compute, worker, introduction } = this.#options;
    const body = { boot: introduction.boot, attempts };
    return await this.#known(
      signal,
      async () => await compute.renewLeases({ params: { worker }, body }, { signal }),
    );
  }

  async #known<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    await orAborted(this.registered(), signal);
    try {
      return await call();
    } catch (error) {
      if (!isPlatformError(error, 'not_found')) throw error;
      this.#options.log.warn({}, 'compute-api does not know this worker any more; it registers again');
      this.#registered = undefined;
      await orAborted(this.registered(), signal);
      return await call();
    }
  }

  #resume(): Pick<Introduction, 'resume'> {
    const { attempts = [] } = this.#options.leftovers ?? {};
    return this.#resumption !== undefined || attempts.length === 0 ? {} : { resume: attempts };
  }

  async #register(): Promise<LeaseTerms> {
    const { compute, worker, introduction, gpus, signal, log } = this.#options;
    let told = false;
    const onFailure = (error: unknown) => {
      if (!told) log.warn({ error }, 'compute-api does not let this worker register; it tries on');
      told = true;
    };
    const worth = () => true;
    const devices = gpus.gpus.map(({ id, name, memoryBytes }) => ({ id, name, memory_bytes: memoryBytes }));
    const register = async (stop: AbortSignal) => {
      const askedAt = performance.now();
      const body = { ...introduction, gpus: { devices, slots: gpus.slots }, ...this.#resume() };
      const terms = await compute.registerWorker({ params: { worker }, body }, { signal: stop });
      // Told once: by whoever registers again it would be started twice.
      this.#resumption ??= { claims: terms.resumed ?? [], askedAt };
      return terms;
    };
    const terms = await patiently({ signal, firstMs: 100, mostMs: 2000, worth, onFailure }, () =>
      answered('compute-api', signal, register),
    );
    log.info({ worker, boot: introduction.boot }, 'Registered with compute-api');
    return terms;
  }
}
