import { randomUUID } from 'node:crypto';
import {
  type Api,
  type Claim,
  type ComputeContract,
  PlatformError,
  type RunnerProtocol,
  type Slots,
} from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import { AttemptAborted } from '../attempt/outcome.ts';
import { type AttemptOptions, runAttempt } from '../attempt/run.ts';
import { GpuAllocator } from '../gpus/allocator.ts';
import type { ContainerRuntime } from '../runtime/index.ts';
import type { FoundArchitecture } from './architecture.ts';
import { Calls, type CallsOptions } from './calls/calls.ts';
import { Leases } from './leases.ts';
import { Poller } from './poller.ts';
import type { Recovery } from './recovery.ts';
import { Registration } from './registration.ts';
import { RuntimeHealth } from './runtime-health.ts';
import { subscribeWakeUps, type WakeUps } from './wake-ups.ts';

/** What a {@link WorkerAgent} is made with. */
export interface AgentOptions extends AttemptOptions {
  readonly compute: Api<ComputeContract>;
  readonly broker?: Broker | undefined;
  /** Asked before each claim whether it can run anything, where it can be asked. */
  readonly runtime: Pick<ContainerRuntime, 'name'> & Partial<Pick<ContainerRuntime, 'ping'>>;
  /** The worker's UUID. */
  readonly id: string;
  /** Whether its disk may be a copy of one whose worker lives, which it then takes nothing over from. */
  readonly moved?: boolean;
  /** Called when compute-api knows the worker. */
  readonly onRegistered?: () => Promise<void>;
  /** Called when another process has the id, before the worker has stopped. */
  readonly onTakenOver?: () => Promise<void>;
  /** For people. */
  readonly name: string;
  readonly slots: Slots;
  /** The protocols of the programs that it keeps warm, as far as that is known now; none where absent. */
  readonly warm?: (() => readonly RunnerProtocol[]) | undefined;
  /** What the operator says that it offers. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Of these, by their keys, what orders have to need. */
  readonly dedicated?: readonly string[] | undefined;
  /** What it offers of itself, once that is known; absent: nothing. */
  readonly architecture?: Pick<FoundArchitecture, 'name'> | undefined;
  /** What the attempts lease their GPUs from; absent: there are none. */
  readonly gpus?: GpuAllocator;
  /** What answers calls without orders; absent: nothing, and none are taken. */
  readonly calls?: Pick<CallsOptions, 'run' | 'runners' | 'planKeys'> | undefined;
  /** The attempts that an earlier process of the worker left; absent: none. */
  readonly recovery?: Recovery | undefined;
  /** About how often it asks for orders while it has room, in milliseconds. */
  readonly pollMs: number;
  /** How long `drain` waits before it gives back what runs, in milliseconds. */
  readonly graceMs: number;
}

/**
 * The part of a worker that talks to compute-api: it registers, claims orders while it has room, runs an attempt for
 * each, and renews their leases.
 */
export class WorkerAgent {
  readonly #options: AgentOptions;
  readonly #registration: Registration;
  readonly #leases: Leases;
  readonly #poller: Poller;
  readonly #running = new Set<AbortController>();
  readonly #closing = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();
  #wakeUps: WakeUps | undefined;
  #calls: Calls | undefined;
  #state: 'starting' | 'registered' = 'starting';
  #draining: Promise<void> | undefined;
  readonly #listening: Promise<void>;

  constructor(options: AgentOptions) {
    const {
      compute,
      id,
      name,
      runtime,
      slots,
      warm,
      labels,
      dedicated,
      moved = false,
      architecture,
      gpus = new GpuAllocator([]),
      recovery,
      pollMs,
      log,
    } = options;
    this.#options = options;
    this.#stopped.promise.catch(() => undefined);
    this.#registration = new Registration({
      compute,
      worker: id,
      info: {
        boot: randomUUID(),
        name,
        runtime: runtime.name,
        slots,
        ...(labels === undefined ? {} : { labels }),
        ...(dedicated === undefined ? {} : { dedicated: [...dedicated] }),
        ...(moved ? { moved } : {}),
      },
      architecture,
      warm,
      recovery,
      gpus,
      signal: this.#closing.signal,
      onSuperseded: (error) => this.#standDown(error),
      log,
    });
    this.#leases = new Leases(this.#registration, log);
    this.#poller = new Poller({
      slots,
      registration: this.#registration,
      recovery,
      runtime: new RuntimeHealth(runtime, log),
      run: async (claim, claimedAt) => await this.#run(claim, claimedAt),
      pollMs,
      log,
    });
    this.#listening = this.#register().catch((error: unknown) => {
      if (!this.#closing.signal.aborted) log.error({ error }, 'The worker cannot register');
    });
  }

  /** See `Worker.stopped`. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Throws `unavailable` unless compute-api knows and answers the worker. */
  ping(): void {
    if (this.#state === 'starting') {
      throw new PlatformError('unavailable', 'compute-api has not let this worker register yet.');
    }
    if (!this.#leases.isWell) throw new PlatformError('unavailable', 'compute-api does not renew leases.');
  }

  /**
   * Subscribes to the broker, where there is one. Not before compute-api knows the worker: until then it could use no
   * message, and each that it took would be missed by another.
   */
  async #listen(): Promise<void> {
    const { broker, id, slots, log } = this.#options;
    if (broker === undefined || this.#closing.signal.aborted) return;
    const onDue = () => this.#poller.wake();
    const onCancelled = (order: string) => {
      if (this.#leases.holds(order)) this.#leases.renewNow();
    };
    this.#wakeUps = await subscribeWakeUps({ broker, worker: id, slots, onDue, onCancelled, log });
    this.#poller.listenTo(this.#wakeUps);
    this.#poller.wake();
  }

  /** Registers again, with what was found since, and looks for orders that it fits. Never throws. */
  reregister(): void {
    const registering = this.#registration.reregister().then(() => this.#poller.wake());
    registering.catch((error: unknown) => {
      if (!this.#closing.signal.aborted)
        this.#options.log.error(
          { error },
          'What the worker offers now cannot be registered with compute-api',
        );
    });
  }

  /** See `Worker.settle`. */
  async settle(): Promise<void> {
    await this.#listening;
    await this.#poller.settle();
  }

  /** See `Worker.drain`. The broker still tells which orders are cancelled. */
  async drain(): Promise<void> {
    this.#draining ??= this.#drain();
    await this.#draining;
  }

  /** Gives back what runs, and ends all of it. */
  async close(): Promise<void> {
    this.#closing.abort(new PlatformError('cancelled', 'The worker was closed.'));
    await this.#poller.stop();
    await this.#listening;
    await this.#wakeUps?.[Symbol.asyncDispose]();
    this.#abortAll('released');
    await this.#calls?.close();
    await this.#poller.idle();
    await this.#leases.stop();
    await this.#options.recovery?.discardExcept([]);
    this.#stopped.resolve();
  }

  async #register(): Promise<void> {
    const terms = await this.#registration.registered();
    this.#state = 'registered';
    this.#leases.start(terms);
    await this.#options.onRegistered?.().catch((error: unknown) => {
      this.#options.log.error({ error }, 'That the worker runs on this machine now cannot be noted');
    });
    this.#takeCalls();
    await this.#listen();
  }

  /** Takes calls without orders, where there is what answers them. */
  #takeCalls(): void {
    const { calls, log } = this.#options;
    if (calls === undefined || this.#closing.signal.aborted || this.#draining !== undefined) return;
    const exchange: CallsOptions['exchange'] = async (news, signal) =>
      await this.#registration.exchangeCalls(news, signal);
    this.#calls = new Calls({ ...calls, exchange, log });
  }

  async #run(claim: Claim, claimedAt: number): Promise<void> {
    const over = new AbortController();
    let { ticket } = claim;
    using _lease = this.#leases.hold(claim, claimedAt, {
      onLost: (reason) => over.abort(new AttemptAborted(reason)),
      onTicket: (renewed) => {
        ticket = renewed;
      },
    });
    this.#running.add(over);
    await runAttempt(claim, over, this.#options, () => ticket);
    this.#running.delete(over);
  }

  async #drain(): Promise<void> {
    await this.#poller.stop();
    const calls = this.#calls?.drain();
    const giveBack = setTimeout(() => {
      this.#abortAll('released');
      void this.#calls?.close();
    }, this.#options.graceMs);
    await Promise.all([this.#poller.idle(), calls]);
    clearTimeout(giveBack);
  }

  #abortAll(reason: AttemptAborted['reason']): void {
    for (const over of this.#running) over.abort(new AttemptAborted(reason));
  }

  /** Another process is this worker: no attempts are this process's. */
  #standDown(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const { log } = this.#options;
    const message =
      'Another process has the id of this worker, as where a disk was copied; this one stops, and gets another id at its next start';
    log.error({ error, worker: this.#options.id }, message);
    this.#closing.abort(error);
    void this.#leases.stop();
    this.#abortAll('stale');
    void this.#calls?.close();
    const left = this.#options.onTakenOver?.().catch((fault: unknown) => {
      log.error({ error: fault }, 'The id that was taken over could not be given up');
    });
    void Promise.resolve(left).then(() => this.#stopped.reject(error));
    this.drain().catch(() => undefined);
  }
}
