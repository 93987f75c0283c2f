import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlatformError, PlatformError, retry } from '@morpheo/common';
import { removeTree } from '../files/remove-tree.ts';
import type { GpuLease } from '../gpus/allocator.ts';
import type { RunResult } from '../runtime/index.ts';
import { onWallLimit } from '../runtime/run-state.ts';
import { formatBytes, formatDuration } from '../steps/format.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from './errors.ts';
import { openHttpDoor } from './http-door.ts';
import type {
  CallResult,
  RunnerCall,
  RunnerPlan,
  RunnerProtocol,
  RunnerRoom,
  Runners,
  RunnerView,
} from './index.ts';
import { Keyed, type StartFault, tooMany } from './keyed.ts';
import { PendingCall } from './pending.ts';
import type { OpenDoor } from './protocol.ts';
import { Runner, type RunnerEnd } from './runner.ts';
import {
  type CallOutcome,
  DEFAULT_RUNNER_LIMITS,
  type RunnerLimits,
  type RunnersOptions,
} from './settings.ts';
import { openZeromqDoor } from './zeromq/door.ts';
import { RUNNER_PORT } from './zeromq/relay.ts';

/** Keys of which nothing is left but failed starts are remembered in this number. */
const REMEMBERED = 200;
/** How often a key whose calls take nobody knows how long is looked at, in milliseconds. */
const LOOK_MS = 300;
/** A runner that others wait for the room of has its turn for so long, in milliseconds. */
const TURN_MS = 30_000;

/** A runner, and what it has while it is there. */
interface Member {
  readonly runner: Runner;
  readonly of: Keyed;
  readonly lease: GpuLease;
  /** Resolves when nothing of it is left. */
  gone: Promise<void>;
  /** While it has no call. */
  idle: Disposable | undefined;
}

/** Opens the {@link Runners} of a worker; what an earlier process left in their folder is removed. */
export async function openRunners(options: RunnersOptions): Promise<Runners> {
  await removeTree(options.folder);
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const pool = new Pool(options);
  await pool.look();
  return pool;
}

class Pool implements Runners {
  readonly #options: RunnersOptions;
  readonly #limits: RunnerLimits;
  readonly #keys = new Map<string, Keyed>();
  readonly #members = new Set<Member>();
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  readonly #onGpus: Disposable;
  #looking: Promise<void> = Promise.resolve();
  #isSupported = false;
  /** What tells of changes, where that is due. */
  #telling: NodeJS.Immediate | undefined;
  /** Those for which room is looked for just now. */
  #seeking: readonly Keyed[] | undefined;
  #started = 0;
  readonly #looksLater = new Set<Keyed>();

  constructor(options: RunnersOptions) {
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_RUNNER_LIMITS;
    this.#onGpus = options.gpus.onFree(() => this.#lookForRoom());
  }

  get possible(): boolean {
    return this.#limits.most > 0 && this.#isSupported && !this.#closing.signal.aborted;
  }

  /** Asks the runtime whether it can have runners; one that does not answer yet is asked behind until it does. */
  async look(): Promise<void> {
    const { runtime, log } = this.#options;
    const ask = async () => {
      this.#isSupported = (await runtime.hasRunners?.()) ?? false;
      this.#changed();
    };
    const isKnown = await ask().then(
      () => true,
      () => false,
    );
    if (isKnown) return;
    const pauses = { firstMs: 1000, mostMs: 30_000, jitter: 0.25 };
    this.#looking = retry(ask, { ...pauses, retryIf: () => true, signal: this.#closing.signal }).catch(
      (error: unknown) => log.debug({ error }, 'Whether there can be runners was not found out'),
    );
  }

  refusal({ limits, gpus }: Pick<RunnerPlan, 'limits' | 'gpus'>): string | undefined {
    const { memoryBytes } = this.#limits;
    if (limits.memoryBytes > memoryBytes)
      return `A runner with ${formatBytes(limits.memoryBytes)} of memory cannot be here: all runners of this worker together have ${formatBytes(memoryBytes)}.`;
    const all = this.#options.gpus.gpus.length;
    if (gpus > all) return `A runner with ${gpus} GPUs cannot be here: this worker has ${all}.`;
    return undefined;
  }

  async call<T>(call: RunnerCall<T>): Promise<CallResult<T>> {
    const { meters } = this.#options;
    try {
      const result = await this.#call(call);
      meters?.callEnded('answered', result.ms);
      return result;
    } catch (error) {
      meters?.callEnded(call.signal.aborted ? 'cancelled' : outcomeOf(error));
      throw error;
    }
  }

  list(): readonly RunnerView[] {
    const views = [...this.#members].map(({ runner, of }) => ({
      ...of.shown(),
      id: runner.id,
      state: runner.state,
      ageMs: performance.now() - runner.startedAt,
      calls: runner.calls,
      underWay: runner.underWay,
      free: runner.free,
    }));
    const broken = [...this.#keys.values()].filter((keyed) => keyed.isBroken);
    const without = broken.map((keyed) => ({
      ...keyed.shown(),
      ...{ id: '', state: 'broken' as const, ageMs: 0, calls: 0, underWay: 0, free: 0 },
    }));
    return [...views, ...without];
  }

  room(): RunnerRoom {
    if (!this.possible) return { runners: 0, memoryBytes: 0, gpus: 0 };
    const busy = [...this.#members].filter(({ runner }) => runner.state !== 'idle');
    return {
      runners: Math.max(0, this.#limits.most - busy.length),
      memoryBytes: Math.max(0, this.#limits.memoryBytes - memoryOf(busy)),
      gpus: this.#options.gpus.free,
    };
  }

  retry(key: string): boolean {
    const keyed = this.#keys.get(key);
    keyed?.forgive();
    this.#forget();
    this.#changed();
    return keyed !== undefined;
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(stopped());
    this.#onGpus[Symbol.dispose]();
    for (const keyed of this.#keys.values()) for (const pending of keyed.takeAll()) pending.fail(stopped());
    for (const { runner } of this.#members) void runner.end('the worker stops', stopped());
    while (this.#members.size > 0) await Promise.all([...this.#members].map(async ({ gone }) => await gone));
    await this.#looking;
    this.#listeners.clear();
  }

  async #call<T>(call: RunnerCall<T>): Promise<CallResult<T>> {
    call.signal.throwIfAborted();
    const keyed = this.#keyedFor(call.plan);
    const { promise: value, resolve } = Promise.withResolvers<T>();
    const take = async (outputs: string) => resolve(await call.take(outputs));
    const pending = new PendingCall({ ...call, take });
    const { waitMs } = this.#limits;
    using _clock = onWallLimit(waitMs, () => this.#waitedLong(keyed, pending));
    keyed.add([pending]);
    this.#serve(keyed);
    this.#changed();
    const report = await pending.done;
    keyed.ran(report.ms.ran);
    return { value: await value, ...report };
  }

  /** Where calls of a plan wait. Throws where they may not. */
  #keyedFor(plan: RunnerPlan): Keyed {
    if (!this.possible) throw new PlatformError('unavailable', 'This worker has no warm runners.');
    const refusal = this.refusal(plan);
    if (refusal !== undefined) throw new PlatformError('invalid_order', refusal);
    const keyed = this.#keys.get(plan.key) ?? new Keyed(plan);
    if (keyed.waiting >= this.#limits.queue) throw tooMany(keyed.waiting);
    this.#keys.set(plan.key, keyed);
    return keyed;
  }

  /** The time for waiting has passed: a start that goes on is waited for. */
  #waitedLong(keyed: Keyed, pending: PendingCall): void {
    if (!keyed.has(pending)) return;
    if (this.#membersOf(keyed).some(({ runner }) => isStarting(runner))) pending.isOverdue = true;
    else pending.abandon(this.#lateFor(keyed));
  }

  #lateFor(keyed: Keyed): CallTimedOut {
    const { waitMs: limitMs } = this.#limits;
    const has = this.#membersOf(keyed).length > 0;
    const what = has ? 'no runner was free' : 'there was no room for a runner';
    const message = `The call waited for ${formatDuration(limitMs)}, and ${what} in that time.`;
    return new CallTimedOut(message, { phase: 'waiting', limitMs, alone: false, tail: [] });
  }

  /** Gives what waits to runners that take calls, those first that had one last; starts one more where that helps. */
  #serve(keyed: Keyed): void {
    keyed.refuseIfBroken();
    const members = this.#membersOf(keyed).toSorted((a, b) => b.runner.idleSince - a.runner.idleSince);
    for (const member of members) {
      if (keyed.waiting === 0) break;
      const { runner } = member;
      const calls = keyed.take(runner.free, runner.underWay === 0);
      if (calls.length === 0) continue;
      member.idle?.[Symbol.dispose]();
      member.idle = undefined;
      runner.give(calls);
    }
    if (keyed.waiting > 0) this.#startFor(keyed);
  }

  #startFor(keyed: Keyed): void {
    const runners = this.#membersOf(keyed).map(({ runner }) => runner);
    if (this.#closing.signal.aborted || runners.some(isStarting)) return;
    const usable = runners.filter(({ state }) => state !== 'ending').length;
    if (usable > 0 && !keyed.isWorthAnother(usable)) {
      if (keyed.waiting > 1) this.#lookLater(keyed);
      return;
    }
    const lease = this.#roomFor(keyed.plan, usable === 0);
    if (lease !== undefined) this.#start(keyed, lease);
  }

  #lookLater(keyed: Keyed): void {
    if (this.#looksLater.has(keyed)) return;
    this.#looksLater.add(keyed);
    setTimeout(() => {
      this.#looksLater.delete(keyed);
      this.#serve(keyed);
    }, LOOK_MS).unref();
  }

  /**
   * Room for a runner, as a lease of its GPUs; undefined where there is none now. Idle runners are ended for it, the least
   * recently used first, and busy ones that had their turn get no more calls where `isNeeded`.
   */
  #roomFor(plan: RunnerPlan, isNeeded: boolean): GpuLease | undefined {
    const { limits, gpus } = plan;
    const seat = this.#seatOf(plan);
    const seated = [...this.#members].find(({ runner }) => this.#seatOf(runner.plan) === seat);
    if (seat !== undefined && seated !== undefined) {
      if (seated.runner.state === 'idle') void seated.runner.end('its place was needed');
      else if (isNeeded) this.#endATurn([seated]);
      return undefined;
    }
    const fits = (members: readonly Member[]) =>
      members.length < this.#limits.most &&
      memoryOf(members) + limits.memoryBytes <= this.#limits.memoryBytes;
    if (fits([...this.#members])) {
      const lease = this.#options.gpus.lease(gpus);
      if (lease !== undefined) return lease;
    }
    const staying = [...this.#members].filter(({ runner }) => !runner.isEnding);
    const idle = staying
      .filter(({ runner }) => runner.state === 'idle')
      .toSorted((a, b) => a.runner.idleSince - b.runner.idleSince);
    const victims: Member[] = [];
    while (!fits(staying.filter((member) => !victims.includes(member)))) {
      const victim = idle.shift();
      if (victim === undefined) {
        if (isNeeded) this.#endATurn(staying);
        return undefined;
      }
      victims.push(victim);
    }
    for (const { runner } of victims) void runner.end('its room was needed');
    return undefined;
  }

  /** In a runtime that isolates nothing, all programs of Shepherd listen at the same port of the machine. */
  #seatOf({ seat, protocol, program }: RunnerPlan): string | undefined {
    const sharesPort = protocol === 'zeromq' && program === undefined && !this.#options.runtime.isolates;
    return sharesPort ? `port ${RUNNER_PORT}` : seat;
  }

  #endATurn(members: readonly Member[]): void {
    const since = performance.now() - TURN_MS;
    const [oldest] = members
      .filter(({ runner }) => runner.state === 'busy' && runner.startedAt + (runner.startMs ?? 0) < since)
      .toSorted((a, b) => a.runner.startedAt - b.runner.startedAt);
    if (members.every(({ runner }) => runner.state !== 'ending'))
      oldest?.runner.retire('others waited for its room');
  }

  #start(keyed: Keyed, lease: GpuLease): void {
    const { runtime, folder, doors } = this.#options;
    const { plan } = keyed;
    this.#started += 1;
    const path = join(folder, String(this.#started));
    const runner = new Runner({
      ...{ plan, runtime, lease, folder: path, limits: this.#limits },
      openDoor: doors?.[plan.protocol] ?? OUR_DOORS[plan.protocol],
      onChange: () => this.#runnerChanged(member),
      giveBack: (calls) => {
        keyed.add(calls, { first: true });
        this.#serve(keyed);
      },
    });
    const member: Member = { runner, of: keyed, lease, idle: undefined, gone: Promise.resolve() };
    this.#members.add(member);
    member.gone = this.#live(member, path);
    this.#changed();
  }

  /** Sees a runner through from its start until nothing of it is left. */
  async #live(member: Member, folder: string): Promise<void> {
    const { log } = this.#options;
    const { runner, of: keyed, lease } = member;
    const { shown, protocol } = runner.plan;
    const about = { runner: runner.id, image: shown.image, owner: shown.owner, protocol };
    void runner.ready.then(() => {
      keyed.started();
      log.info({ ...about, ms: Math.round(runner.startMs ?? 0) }, 'A warm runner is ready');
    });
    const end = await runner.gone;
    await removeTree(folder).catch((error: unknown) =>
      log.error({ error, path: folder }, 'The folder of a warm runner could not be removed'),
    );
    member.idle?.[Symbol.dispose]();
    lease[Symbol.dispose]();
    this.#members.delete(member);
    const why = explain(end, this.#limits);
    log.info({ ...about, calls: runner.calls, why: why.message }, 'A warm runner has ended');
    if (runner.startMs === undefined && end.kind !== 'ended')
      keyed.startFailed({ ...why, tail: runner.tail() });
    for (const pending of keyed.takeOverdue()) pending.fail(this.#lateFor(keyed));
    this.#serve(keyed);
    this.#forget();
    this.#lookForRoom();
    this.#changed();
  }

  #runnerChanged(member: Member): void {
    const { runner, of: keyed } = member;
    this.#serve(keyed);
    if (runner.state === 'idle') member.idle ??= this.#letIdle(member);
    this.#lookForRoom();
    this.#changed();
  }

  /** While a runner has no call others may have its GPUs, and after a while it ends. */
  #letIdle({ runner, lease, ...member }: Member): Disposable {
    const stack = new DisposableStack();
    stack.use(onWallLimit(this.#limits.idleMs, () => void runner.end('nobody needed it')));
    if (runner.plan.gpus > 0) {
      const giveUp = async () => {
        await runner.end('its GPUs were needed');
        await member.gone;
      };
      stack.use(lease.lend(giveUp));
    }
    return stack;
  }

  /** Starts what waits for room, who waits longest first. */
  #lookForRoom(): void {
    if (this.#seeking !== undefined) return;
    const waiting = [...this.#keys.values()].filter((keyed) => keyed.waiting > 0);
    if (waiting.length === 0) return;
    this.#seeking = waiting.toSorted((a, b) => a.since - b.since);
    try {
      for (const keyed of this.#seeking) this.#startFor(keyed);
    } finally {
      this.#seeking = undefined;
    }
  }

  #membersOf(keyed: Keyed): Member[] {
    return [...this.#members].filter(({ of }) => of === keyed);
  }

  /** Forgets keys of which nothing is known that matters, and the oldest of too many that would not start. */
  #forget(): void {
    for (const keyed of this.#keys.values()) {
      const isUsed = keyed.waiting > 0 || this.#membersOf(keyed).length > 0;
      if (!isUsed && (!keyed.isWorthKeeping || this.#keys.size > REMEMBERED)) this.#keys.delete(keyed.key);
    }
  }

  #changed(): void {
    this.#telling ??= setImmediate(() => {
      this.#telling = undefined;
      for (const listener of this.#listeners) listener();
    });
  }
}

const OUR_DOORS: Readonly<Record<RunnerProtocol, OpenDoor>> = {
  runner: openHttpDoor,
  zeromq: openZeromqDoor,
};

/** Also where its start has just failed, until that is known to have left nothing. */
function isStarting({ startMs }: Runner): boolean {
  return startMs === undefined;
}

function memoryOf(members: readonly Member[]): number {
  return members.reduce((sum, { runner }) => sum + runner.plan.limits.memoryBytes, 0);
}

function stopped(): PlatformError {
  return new PlatformError('unavailable', 'The worker stops.');
}

/** Why a runner ended, as the end of a sentence. */
function explain(end: RunnerEnd, { startMs }: RunnerLimits): Omit<StartFault, 'tail'> {
  switch (end.kind) {
    case 'ended':
      return { message: end.reason };
    case 'slow_start':
      return { message: `it had not asked for a call after ${formatDuration(startMs)}` };
    case 'failed':
      return {
        message: end.error instanceof Error ? end.error.message : String(end.error),
        cause: end.error,
      };
    case 'program':
      return { message: end.why instanceof ProtocolFault ? end.why.message : explainResult(end.why) };
  }
}

function explainResult({ ended, exitCode, notStarted }: RunResult): string {
  if (notStarted !== undefined) return `it could not be started: ${notStarted}`;
  if (ended === 'exited') return `it ended with exit code ${exitCode}`;
  return `it passed a limit (${ended})`;
}

function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof CallFailed) return 'failed';
  if (error instanceof RunnerEnded) return 'ended';
  if (error instanceof CallTimedOut) return 'timed_out';
  if (error instanceof RunnerBroken) return 'broken';
  return isPlatformError(error, 'rate_limited', 'invalid_order') ? 'refused' : 'error';
}
