import { randomUUID } from 'node:crypto';
import { type Api, type Claim, type ComputeContract, ORDER_KINDS, PlatformError } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';
import { orAborted } from './abort.ts';
import { type AttemptOptions, runAttempt } from './attempt.ts';
import type { ContainerRuntime } from './container-runtime/index.ts';
import { GpuAllocator } from './gpus/gpu-allocator.ts';
import { Intake, type Resumption, type Slots } from './intake.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { Leftovers } from './leftovers.ts';
import { RuntimeGate } from './runtime-gate.ts';
import { ComputeSession, type Held } from './session.ts';
import { AttemptOver } from './verdict.ts';
import { hearWakeUps, type WakeUps } from './wake-ups.ts';

/** What a {@link Crew} is made with. */
export interface CrewOptions {
  readonly compute: Api<ComputeContract>;
  readonly broker?: Broker | undefined;
  /** Asked before each claim whether it can run anything, where it can be asked. */
  readonly runtime: Pick<ContainerRuntime, 'name'> & Partial<Pick<ContainerRuntime, 'ping'>>;
  readonly id: string;
  readonly name: string;
  readonly slots: Slots;
  /** What the attempts lease their GPUs from; absent: there are none. */
  readonly gpus?: GpuAllocator;
  /** What an earlier process of the worker left; absent: nothing. */
  readonly leftovers?: Leftovers | undefined;
  readonly pollMs: number;
  /** How long `drain` waits before it gives back what runs. */
  readonly graceMs: number;
  readonly log: Log;
}

/** What of a worker moves: its standing with compute-api, its leases, its intake, and the attempts that run. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #attempts: AttemptOptions;
  readonly #session: ComputeSession;
  readonly #leases: LeaseKeeper;
  readonly #intake: Intake;
  readonly #running = new Set<AbortController>();
  readonly #closing = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();
  #lettingGo: Promise<void> = Promise.resolve();
  #wakeUps: WakeUps | undefined;
  #standing: 'unknown' | 'registered' = 'unknown';
  #draining: Promise<void> | undefined;

  constructor(options: CrewOptions, attempts: AttemptOptions) {
    const { compute, id, name, runtime, slots, gpus = new GpuAllocator([]), leftovers, log } = options;
    this.#options = options;
    this.#attempts = attempts;
    this.#stopped.promise.catch(() => undefined);
    const introduction = { boot: randomUUID(), name, runtime: runtime.name, slots };
    const onSuperseded = (error: unknown) => this.#standDown(error);
    this.#session = new ComputeSession({
      compute,
      worker: id,
      introduction,
      leftovers,
      gpus,
      signal: this.#closing.signal,
      log,
    });
    this.#leases = new LeaseKeeper({ renew: this.#session.renew.bind(this.#session), onSuperseded, log });
    const gate = new RuntimeGate(runtime, log);
    this.#intake = new Intake({
      slots,
      goOn: async (stop) => await this.#goOn(stop),
      claim: async (kinds, stop) =>
        (await gate.isOpen(stop)) ? await this.#session.claim(kinds, stop) : null,
      run: async (claim, claimedAt) => await this.#run(claim, claimedAt),
      onRoom: (kind, room) => this.#wakeUps?.hear(kind, room && this.#draining === undefined),
      onSuperseded,
      pollMs: options.pollMs,
      log,
    });
    this.#register().catch((error: unknown) => {
      if (!this.#closing.signal.aborted) log.error({ error }, 'The worker cannot register');
    });
  }

  /** See `Worker.stopped`. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Throws `unavailable` unless compute-api knows and answers the worker. */
  ping(): void {
    if (this.#standing === 'unknown') {
      throw new PlatformError('unavailable', 'compute-api has not let this worker register yet.');
    }
    if (!this.#leases.isWell) throw new PlatformError('unavailable', 'compute-api does not renew leases.');
  }

  /** Begins to hear the broker, where there is one. */
  async listen(): Promise<void> {
    const { broker, id, slots, log } = this.#options;
    if (broker === undefined) return;
    const onDue = () => this.#intake.wake();
    const onCancelled = (order: string) => {
      if (this.#leases.holds(order)) this.#leases.renewNow();
    };
    this.#wakeUps = await hearWakeUps({ broker, worker: id, onDue, onCancelled, log });
    // What would never be run here must not be woken for here, in another worker's place.
    for (const kind of ORDER_KINDS) if (slots[kind] === 0) this.#wakeUps.hear(kind, false);
  }

  /** Tells compute-api of GPUs that were found since it was registered, and looks for orders that they fit. */
  tellGpus(): void {
    const telling = this.#session.introduceAgain().then(() => this.#intake.wake());
    telling.catch((error: unknown) => {
      if (!this.#closing.signal.aborted)
        this.#options.log.error({ error }, 'compute-api is not told of GPUs');
    });
  }

  /** See `Worker.settle`. */
  async settle(): Promise<void> {
    await this.#intake.settle();
  }

  /** See `Worker.drain`. */
  async drain(): Promise<void> {
    this.#draining ??= this.#drain(this.#options.graceMs);
    await this.#draining;
  }

  /** Gives back what runs, and ends all of it. */
  async close(): Promise<void> {
    this.#closing.abort(new PlatformError('cancelled', 'The worker was closed.'));
    await this.#wakeUps?.[Symbol.asyncDispose]();
    await this.#intake.stop();
    this.#endAll('released');
    await this.#intake.idle();
    await this.#leases.stop();
    this.#letGo([]);
    await this.#lettingGo;
    this.#stopped.resolve();
  }

  async #register(): Promise<void> {
    const terms = await this.#session.registered();
    this.#standing = 'registered';
    this.#leases.start(terms);
  }

  async #goOn(stop: AbortSignal): Promise<Resumption> {
    const { leftovers, log } = this.#options;
    if (leftovers === undefined || leftovers.attempts.length === 0) return { claims: [], askedAt: 0 };
    // What is not heard of in time may be somebody else's by then: its containers must not go on.
    const giveUp = setTimeout(() => {
      log.warn({}, 'compute-api does not answer: what an earlier process left is given up');
      this.#letGo([]);
    }, leftovers.patienceMs);
    try {
      const resumption = await orAborted(this.#session.resumption(), stop);
      const attempts = resumption.claims.length;
      if (attempts > 0) log.info({ attempts }, 'The worker was started again, and goes on with attempts');
      for (const { spec } of resumption.claims) this.#attempts.meters?.attemptResumed(spec.kind);
      this.#letGo(resumption.claims);
      return resumption;
    } finally {
      clearTimeout(giveUp);
    }
  }

  /** Not waited for by what goes on, since its leases are to be renewed. */
  #letGo(allBut: readonly Held[]): void {
    const { leftovers, log } = this.#options;
    const before = this.#lettingGo;
    this.#lettingGo = (async () => {
      await before;
      await leftovers?.keepOnly(allBut);
    })().catch((error: unknown) => log.error({ error }, 'What an earlier process left cannot be removed'));
  }

  async #run(claim: Claim, claimedAt: number): Promise<void> {
    const over = new AbortController();
    using _lease = this.#leases.hold(claim, claimedAt, (why) => over.abort(new AttemptOver(why)));
    this.#running.add(over);
    await runAttempt(claim, over, this.#attempts);
    this.#running.delete(over);
  }

  /** Goes on hearing which orders are cancelled. */
  async #drain(graceMs: number): Promise<void> {
    for (const kind of ORDER_KINDS) this.#wakeUps?.hear(kind, false);
    await this.#intake.stop();
    const giveBack = setTimeout(() => this.#endAll('released'), graceMs);
    await this.#intake.idle();
    clearTimeout(giveBack);
  }

  #endAll(why: AttemptOver['why']): void {
    for (const over of this.#running) over.abort(new AttemptOver(why));
  }

  /** Another process is this worker now: what runs here is not ours any more. */
  #standDown(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#options.log.error(
      { error },
      'Another process has taken over the id of this worker; this one stops',
    );
    this.#closing.abort(error);
    void this.#leases.stop();
    this.#endAll('stale');
    this.#stopped.reject(error);
    this.drain().catch(() => undefined);
  }
}
