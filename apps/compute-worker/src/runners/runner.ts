import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { machine as hostMachine } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { abortable, PlatformError } from '@morpheo/common';
import { LogTail } from '../attempt/log-tail.ts';
import type { GpuLease } from '../gpus/allocator.ts';
import type { ContainerRuntime, OutputChunk, RunnerSpec } from '../runtime/index.ts';
import { onWallLimit } from '../runtime/run-state.ts';
import { formatDuration } from '../steps/format.ts';
import { type Ask, Asks } from './asks.ts';
import { endError, type RunnerEnd } from './ends.ts';
import { CallFailed, CallTimedOut, ProtocolFault } from './errors.ts';
import type { RunnerPlan } from './index.ts';
import type { PendingCall } from './pending.ts';
import { RunnerPlaces } from './places.ts';
import type { CallAnswer, OfferedCall, OpenDoor, RunnerDesk } from './protocol.ts';
import type { RunnerLimits } from './settings.ts';

/** What a {@link Runner} works with. */
export interface RunnerParts {
  readonly plan: RunnerPlan;
  readonly runtime: Pick<ContainerRuntime, 'run' | 'isolates' | 'machine'>;
  readonly openDoor: OpenDoor;
  /** A folder that is not there yet; its caller removes it. */
  readonly folder: string;
  /** Its GPUs; who leased them gives them back. */
  readonly lease: Pick<GpuLease, 'gpus' | 'ready'>;
  readonly limits: RunnerLimits;
  /** It takes calls, or takes more or fewer than before. */
  readonly onChange: () => void;
  /** These were to be its calls, and its program has not seen them. */
  readonly giveBack: (calls: readonly PendingCall[]) => void;
}

/** A call that the program has, or that is on its way there or back. */
interface Held {
  readonly pending: PendingCall;
  readonly id: string;
  /** `filling`: the program does not know it yet. `answered`: it has said all that it has to say. */
  state: 'filling' | 'offered' | 'answered';
  offeredAt: number;
  clock: Disposable | undefined;
}

/** What a run may take longer than the runner may live, in milliseconds: the runner ends it first. */
const MARGIN_MS = 60_000;
/** Who asks so often without being given a call does not wait for one: in an hour of waiting it is 60 times. */
const MOST_ASKS = 1000;

/** One program that answers calls, from its start until nothing of it is left. */
export class Runner implements RunnerDesk {
  readonly id = randomUUID();
  readonly plan: RunnerPlan;
  readonly startedAt = performance.now();
  /** Resolves once it takes calls; rejects never: it may end before. */
  readonly ready: Promise<void>;
  /** Resolves once nothing of it is left but its folder. */
  readonly gone: Promise<RunnerEnd>;
  readonly #parts: RunnerParts;
  readonly #tail = new LogTail();
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  readonly #held = new Map<string, Held>();
  readonly #stop = new AbortController();
  readonly #onReady = Promise.withResolvers<void>();
  #clock: Disposable;
  /** What is being done with the folders of calls. */
  readonly #work = new Set<Promise<void>>();
  #places: RunnerPlaces | undefined;
  #end: RunnerEnd | undefined;
  readonly #asks = new Asks();
  #maxBatch = 1;
  #readyAt: number | undefined;
  #idleSince = performance.now();
  #answered = 0;
  /** How often it has asked since it was given a call. */
  #asked = 0;
  #printed = 0;
  /** It takes no further call, and ends with those that it has. */
  #retires: string | undefined;
  #isWiping = false;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.plan = parts.plan;
    this.ready = this.#onReady.promise;
    const { startMs } = parts.limits;
    this.#clock = onWallLimit(startMs, () => this.#close({ kind: 'slow_start' }));
    this.gone = this.#live().then(
      () => this.#over(),
      (error: unknown) => {
        this.#close({ kind: 'failed', error });
        return this.#over();
      },
    );
  }

  get state(): 'starting' | 'idle' | 'busy' | 'ending' {
    if (this.#end !== undefined || this.#retires !== undefined) return 'ending';
    if (this.#readyAt === undefined) return 'starting';
    return this.#held.size === 0 && !this.#isWiping ? 'idle' : 'busy';
  }

  /** Whether its program has ended, or is being ended. */
  get isEnding(): boolean {
    return this.#end !== undefined;
  }

  /** How many calls it has answered, has, and takes now. */
  get calls(): number {
    return this.#answered;
  }

  get underWay(): number {
    return this.#held.size;
  }

  get free(): number {
    if (this.state === 'ending' || this.#isWiping) return 0;
    if (
      this.#places?.isBehind !== false ||
      [...this.#held.values()].some(({ pending }) => pending.call.alone)
    )
      return 0;
    return Math.max(0, Math.min(this.#asks.most, this.#maxBatch - this.#held.size));
  }

  /** Since when it has had no call, by the monotonic clock. */
  get idleSince(): number {
    return this.#idleSince;
  }

  /** How long it took to be ready, in milliseconds; undefined until it is. */
  get startMs(): number | undefined {
    return this.#readyAt === undefined ? undefined : this.#readyAt - this.startedAt;
  }

  /** The last lines of what it printed. */
  tail(): string[] {
    return this.#tail.lines();
  }

  /** Gives it calls, no more than are {@link free}. */
  give(calls: readonly PendingCall[]): void {
    const ask = this.#asks.take();
    const places = this.#places;
    if (ask === undefined || places === undefined) {
      this.#parts.giveBack(calls);
      return;
    }
    const held = calls.map((pending): Held & { inputs: string } => {
      const { id, inputs } = places.make();
      return { pending, id, inputs, state: 'filling', offeredAt: 0, clock: undefined };
    });
    for (const one of held) {
      this.#held.set(one.id, one);
      one.pending.onAbandoned = () => this.#abandoned(one);
    }
    this.#do(this.#offer(ask, held));
  }

  /** Ends it at once, for a reason: that of calls which it still has is `error`. */
  async end(reason: string, error?: Error): Promise<void> {
    for (const { pending, state } of this.#held.values())
      if (error !== undefined && state !== 'answered') pending.fail(error);
    this.#close({ kind: 'ended', reason });
    await this.gone;
  }

  /** Lets it end once it has answered what it has. */
  retire(reason: string): void {
    this.#retires ??= reason;
    this.#endIfDone();
    this.#parts.onChange();
  }

  async next(most: number, signal: AbortSignal): Promise<readonly OfferedCall[]> {
    this.#asked += 1;
    if (this.#asked > MOST_ASKS)
      throw new ProtocolFault(`The runner asked ${MOST_ASKS} times for calls without waiting for one.`);
    return await this.#asks.wait(most, signal, () => {
      this.#becomeReady();
      this.#parts.onChange();
    });
  }

  answer(id: string, answer: CallAnswer): void {
    const held = this.#held.get(id);
    if (held?.state !== 'offered') {
      const what = held === undefined ? 'is not (or no longer) its call' : 'it has answered already';
      throw new ProtocolFault(`The runner answered ${id.slice(0, 100)}, which ${what}.`, {
        isConflict: true,
      });
    }
    held.state = 'answered';
    held.clock?.[Symbol.dispose]();
    this.#do(this.#finish(held, answer));
  }

  fault(fault: ProtocolFault): void {
    this.#close({ kind: 'program', why: fault });
  }

  #do(work: Promise<void>): void {
    const doing = work
      .catch((error: unknown) => this.#close({ kind: 'failed', error }))
      .finally(() => this.#work.delete(doing));
    this.#work.add(doing);
  }

  /** Runs the program until its end. */
  async #live(): Promise<void> {
    const { plan, runtime, folder, lease, limits } = this.#parts;
    const { signal } = this.#stop;
    const { openDoor } = plan.program ?? this.#parts;
    const hasHostPaths = plan.program !== undefined || !runtime.isolates;
    await abortable(lease.ready, signal);
    mkdirSync(folder, { mode: 0o700 });
    await using stack = new AsyncDisposableStack();
    const places = stack.use(
      new RunnerPlaces(folder, {
        hasHostPaths,
        onFailure: (error) => this.#close({ kind: 'failed', error }),
        onCaughtUp: () => this.#parts.onChange(),
      }),
    );
    stack.defer(async () => {
      while (this.#work.size > 0) await Promise.all(this.#work);
    });
    const prepared = stack.use(await plan.prepare(places.prepared, signal));
    signal.throwIfAborted();
    const { image, args, environment = {}, mounts } = prepared;
    this.#maxBatch = image.runner?.maxBatch ?? 1;
    const machine = async () => (await runtime.machine?.(signal)) ?? hostMachine();
    const door = stack.use(await openDoor({ folder: places.door, desk: this, hasHostPaths, machine }));
    places.makeAhead();
    this.#places = places;
    const spec: RunnerSpec = {
      image,
      args,
      environment: { ...environment, ...door.environment },
      mounts: [...mounts, ...door.mounts, places.mount],
      limits: { ...plan.limits, wallMs: limits.startMs + limits.ageMs + plan.limits.wallMs + MARGIN_MS },
      scratch: places.scratch,
      gpus: lease.gpus.map(({ id }) => id),
      labels: { runner: this.id },
      writable: places.writable,
      before: door.before,
    };
    const options = { signal, onOutput: async (chunk: OutputChunk) => await this.#print(chunk) };
    const why = await (plan.program ?? runtime).run(spec, options);
    this.#close({ kind: 'program', why });
  }

  #becomeReady(): void {
    if (this.#readyAt !== undefined || this.#end !== undefined) return;
    const { ageMs } = this.#parts.limits;
    this.#readyAt = performance.now();
    this.#idleSince = this.#readyAt;
    this.#clock[Symbol.dispose]();
    this.#clock = onWallLimit(ageMs, () => this.retire('it had served its time'));
    this.#onReady.resolve();
  }

  /** Fills the folders of calls, and hands them over. */
  async #offer(ask: Ask, held: readonly (Held & { readonly inputs: string })[]): Promise<void> {
    await Promise.all(
      held.map(async ({ pending, inputs }) => {
        await pending.call.fill(inputs).catch((error: unknown) => pending.fail(error));
      }),
    );
    const wanted = held.filter(({ pending, id }) => {
      if (!pending.isOver) return true;
      this.#letGo(id);
      return false;
    });
    const asking = this.#asks.latest(ask);
    const isGone = asking.isOver || asking.most < wanted.length;
    if (isGone || this.#end !== undefined || wanted.length === 0) {
      for (const { id } of wanted) this.#letGo(id);
      this.#asks.putBack(asking);
      this.#parts.giveBack(wanted.map(({ pending }) => pending));
      return this.#freed();
    }
    this.#asked = 0;
    asking.give(wanted.map((one) => this.#handOver(one)));
  }

  #handOver(held: Held): OfferedCall {
    const { wallMs } = this.plan.limits;
    const paths = this.#places?.offer(held.id);
    if (paths === undefined)
      throw new PlatformError('internal', 'A call was given to a runner that has no folders.');
    held.state = 'offered';
    held.offeredAt = performance.now();
    held.clock = onWallLimit(wallMs, () => this.#timedOut(held));
    return { id: held.id, ...paths };
  }

  /** A call that the program was not given is the runner's no more. */
  #letGo(id: string): void {
    this.#held.delete(id);
    this.#places?.remove(id);
  }

  #timedOut({ pending }: Held): void {
    const { wallMs: limitMs } = this.plan.limits;
    const message = `The call took longer than ${formatDuration(limitMs)}, and its runner was stopped.`;
    const about = { phase: 'running' as const, limitMs, alone: this.#isAlone(), tail: this.tail() };
    pending.abandon(new CallTimedOut(message, about));
  }

  /** Nobody waits for the call any more: the program is ended, once nobody waits for its other calls either. */
  #abandoned({ state, clock }: Held): void {
    clock?.[Symbol.dispose]();
    if (state === 'offered') this.retire('a call was given up');
  }

  async #finish(held: Held, answer: CallAnswer): Promise<void> {
    const { pending, id } = held;
    const ran = performance.now() - held.offeredAt;
    // What it printed before it answered comes by another way, and is part of the call's log.
    await setImmediate();
    const outputs = this.#places?.takeBack(id);
    if (outputs === undefined) {
      // It is no answer, and the call ends with the runner.
      held.state = 'offered';
      return this.fault(
        new ProtocolFault('The runner put something else in the place of the folder of its call.'),
      );
    }
    const reused = this.#answered;
    this.#answered += 1;
    if (pending.isOver) {
      // Nobody waits for it any more.
    } else if (answer.ok) {
      const report = { reused, runner: this.id, ms: { ...this.#waitOf(held), ran } };
      await pending.call.take(outputs).then(
        () => pending.succeed(report),
        (error: unknown) => pending.fail(error),
      );
    } else {
      pending.fail(new CallFailed(answer.message, { ...answer, tail: this.tail() }));
      this.#retires ??= 'a call failed';
    }
    if (this.#end !== undefined) return;
    this.#isWiping = true;
    try {
      this.#letGo(id);
      if (this.#held.size === 0) await this.#places?.wipe();
      this.#places?.makeAhead();
    } finally {
      this.#isWiping = false;
    }
    this.#freed();
  }

  /** How long a call waited for room or a runner, and for the start of this one, in milliseconds. */
  #waitOf({ pending, offeredAt }: Held): { readonly waited: number; readonly started: number } {
    const started = Math.max(0, (this.#readyAt ?? offeredAt) - Math.max(pending.since, this.startedAt));
    return { waited: offeredAt - pending.since - started, started };
  }

  #freed(): void {
    const { calls } = this.#parts.limits;
    if (this.#held.size === 0) this.#idleSince = performance.now();
    if (this.#answered >= calls) this.#retires ??= 'it had answered as many calls as it may';
    if (this.#printed > this.plan.limits.outputBytes / 2)
      this.#retires ??= 'it had printed much of what it may';
    this.#endIfDone();
    this.#parts.onChange();
  }

  #endIfDone(): void {
    if (this.#retires === undefined || [...this.#held.values()].some(({ pending }) => !pending.isOver))
      return;
    this.#close({ kind: 'ended', reason: this.#retires });
  }

  async #print(chunk: OutputChunk): Promise<void> {
    this.#printed += chunk.bytes.byteLength;
    this.#tail.add(chunk.stream, this.#decoders[chunk.stream].decode(chunk.bytes, { stream: true }));
    for (const { pending, state } of this.#held.values()) {
      if (state === 'filling' || pending.isOver) continue;
      await pending.call.onOutput?.(chunk).catch((error: unknown) => pending.abandon(error));
    }
  }

  /** Whether it has one call at the most. */
  #isAlone(): boolean {
    return [...this.#held.values()].filter(({ state }) => state === 'offered').length <= 1;
  }

  /** Ends the program, whatever it does, for the first reason that there is. */
  #close(end: RunnerEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#clock[Symbol.dispose]();
    this.#stop.abort(new Error('The runner ends.'));
    this.#parts.onChange();
  }

  /** Nothing goes on any more: what its calls come to. */
  #over(): RunnerEnd {
    this.#clock[Symbol.dispose]();
    const end = this.#end ?? { kind: 'ended', reason: 'it ended' };
    const alone = this.#isAlone();
    this.#asks.close();
    for (const { pending, clock } of this.#held.values()) {
      clock?.[Symbol.dispose]();
      pending.fail(endError(end, { alone, tail: this.tail() }));
    }
    return end;
  }
}
