import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError, retry } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { removeLivingTree } from '../files/remove-living.ts';
import type { GpuLease } from '../gpus/allocator.ts';
import { onWallLimit } from '../runtime/run-state.ts';
import { formatDuration } from '../steps/format.ts';
import { explain, outcomeOf, stopped } from './ends.ts';
import { CallTimedOut } from './errors.ts';
import { openHttpDoor } from './http-door.ts';
import type {
  CallResult,
  RunnerCall,
  RunnerNeeds,
  RunnerPlan,
  RunnerProtocol,
  RunnerRoom,
  Runners,
  RunnerView,
} from './index.ts';
import { Keyed, tooMany } from './keyed.ts';
import { type Member, Members } from './members.ts';
import { PendingCall } from './pending.ts';
import type { OpenDoor } from './protocol.ts';
import { Runner } from './runner.ts';
import { DEFAULT_RUNNER_LIMITS, type RunnerLimits, type RunnersOptions } from './settings.ts';
import { openZeromqDoor } from './zeromq/door.ts';

/** Keys of which nothing is left but failed starts are remembered in this number. */
const REMEMBERED = 200;
/** How often a key whose calls take nobody knows how long is looked at, in milliseconds. */
const LOOK_MS = 300;
/**
 * Opens the {@link Runners} of a worker. What an earlier process left in their folder is removed, also where that is not known
 * to have ended; what cannot be is logged, and tried again at the next start.
 */
export async function openRunners(options: RunnersOptions): Promise<Runners> {
  const { folder: parent, log } = options;
  await mkdir(parent, { recursive: true, mode: 0o700 });
  for (const name of await readdir(parent)) await removeFolder(join(parent, name), log);
  const left = new Set(await readdir(parent));
  let number = 1;
  while (left.has(String(number))) number += 1;
  const folder = join(parent, String(number));
  await mkdir(folder, { mode: 0o700 });
  const pool = new Pool({ ...options, folder });
  await pool.look();
  return pool;
}

class Pool implements Runners {
  readonly #options: RunnersOptions;
  readonly #limits: RunnerLimits;
  readonly #keys = new Map<string, Keyed>();
  readonly #members: Members;
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
    const { runtime, gpus } = options;
    this.#members = new Members({ gpus, limits: this.#limits, isolates: runtime.isolates });
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

  refusal(plan: RunnerNeeds): string | undefined {
    return this.#members.refusal(plan);
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
    const views = this.#members.all.map(({ runner, of }) => ({
      ...of.shown(),
      id: runner.id,
      state: runner.state,
      ageMs: performance.now() - runner.startedAt,
      calls: runner.calls,
      underWay: runner.underWay,
      free: runner.free,
      tail: () => runner.tail(),
    }));
    const broken = [...this.#keys.values()].filter((keyed) => keyed.isBroken);
    const without = broken.map((keyed) => ({
      ...keyed.shown(),
      ...{ id: '', state: 'broken' as const, ageMs: 0, calls: 0, underWay: 0, free: 0 },
    }));
    return [...views, ...without];
  }

  room(): RunnerRoom {
    return this.possible ? this.#members.room() : { runners: 0, memoryBytes: 0, gpus: 0, mostMemoryBytes: 0 };
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
    for (const { runner } of this.#members.all) void runner.end('the worker stops', stopped());
    while (this.#members.all.length > 0)
      await Promise.all(this.#members.all.map(async ({ gone }) => await gone));
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
    try {
      const report = await pending.done;
      keyed.ran(report.ms.ran);
      return { value: await value, ...report };
    } finally {
      if (this.#isForgettable(keyed)) this.#keys.delete(keyed.key);
    }
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
    const isStarted = this.#members.of(keyed).some(({ runner }) => isStarting(runner));
    // A runner that has it may give it back.
    if (isStarted || !keyed.has(pending)) pending.isOverdue = true;
    else pending.abandon(this.#lateFor(keyed));
  }

  #lateFor(keyed: Keyed): CallTimedOut {
    const { waitMs: limitMs } = this.#limits;
    const has = this.#members.of(keyed).length > 0;
    const what = has ? 'no runner was free' : 'there was no room for a runner';
    const message = `The call waited for ${formatDuration(limitMs)}, and ${what} in that time.`;
    return new CallTimedOut(message, { phase: 'waiting', limitMs, alone: false, tail: [] });
  }

  /** Gives what waits to runners that take calls, those first that had one last; starts one more where that helps. */
  #serve(keyed: Keyed): void {
    keyed.refuseIfBroken();
    const members = this.#members.of(keyed).toSorted((a, b) => b.runner.idleSince - a.runner.idleSince);
    for (const member of members) {
      if (keyed.waiting === 0) break;
      const { runner } = member;
      const calls = keyed.take(runner.free, runner.underWay === 0);
      if (calls.length === 0) continue;
      member.idle?.[Symbol.dispose]();
      member.idle = undefined;
      runner.give(calls);
    }
    // Who waits longer, also for another key, has room first.
    if (keyed.waiting > 0) this.#lookForRoom();
  }

  #startFor(keyed: Keyed): void {
    const runners = this.#members.of(keyed).map(({ runner }) => runner);
    if (this.#closing.signal.aborted || runners.some(isStarting)) return;
    const usable = runners.filter(({ state }) => state !== 'ending').length;
    if (usable > 0 && !keyed.isWorthAnother(usable)) {
      if (keyed.waiting > 1) this.#lookLater(keyed);
      return;
    }
    const lease = this.#members.roomFor(keyed.plan, usable === 0);
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

  #start(keyed: Keyed, lease: GpuLease): void {
    const { runtime, folder, doors } = this.#options;
    const { plan, asker } = keyed;
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
    const member: Member = { runner, of: keyed, lease, asker, idle: undefined, gone: Promise.resolve() };
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
    await removeFolder(folder, log);
    member.idle?.[Symbol.dispose]();
    lease[Symbol.dispose]();
    this.#members.delete(member);
    const why = explain(end, this.#limits);
    log.info({ ...about, calls: runner.calls, why: why.message }, 'A warm runner has ended');
    // Whose call is over has no rights any more by which anything could be brought: others may have.
    const isOfGone = end.kind === 'failed' && member.asker?.isOver === true;
    if (runner.startMs === undefined && end.kind !== 'ended' && !isOfGone)
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

  /** Forgets keys of which nothing is known that matters, and the oldest of too many that would not start. */
  #forget(): void {
    for (const keyed of this.#keys.values()) if (this.#isForgettable(keyed)) this.#keys.delete(keyed.key);
  }

  #isForgettable(keyed: Keyed): boolean {
    if (keyed.waiting > 0 || this.#members.of(keyed).length > 0) return false;
    return !keyed.isWorthKeeping || this.#keys.size > REMEMBERED;
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

/** Removes what is left of runners, of which a program may live yet where the daemon of Docker was lost. */
async function removeFolder(path: string, log: Log): Promise<void> {
  await removeLivingTree(path).catch((error: unknown) =>
    log.error({ error, path }, 'What warm runners left could not be removed'),
  );
}

/** Also where its start has just failed, until that is known to have left nothing. */
function isStarting({ startMs }: Runner): boolean {
  return startMs === undefined;
}
