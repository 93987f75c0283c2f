import type { GpuAllocator, GpuLease } from '../gpus/allocator.ts';
import { formatBytes } from '../steps/format.ts';
import type { RunnerNeeds, RunnerPlan, RunnerRoom } from './index.ts';
import type { Keyed } from './keyed.ts';
import type { PendingCall } from './pending.ts';
import type { Runner } from './runner.ts';
import type { RunnerLimits } from './settings.ts';
import { RUNNER_PORT } from './zeromq/relay.ts';

/** A runner that others wait for the room of has its turn for so long, in milliseconds. */
const TURN_MS = 30_000;

/** A runner, and what it has while it is there. */
export interface Member {
  readonly runner: Runner;
  readonly of: Keyed;
  readonly lease: GpuLease;
  /** The call by whose rights it is started. */
  readonly asker: PendingCall | undefined;
  /** Resolves when nothing of it is left. */
  gone: Promise<void>;
  /** While it has no call. */
  idle: Disposable | undefined;
}

/** What bounds {@link Members}. */
export interface MembersOptions {
  readonly limits: RunnerLimits;
  readonly gpus: GpuAllocator;
  /** Whether the runtime isolates what it runs. */
  readonly isolates: boolean;
}

/** The runners that there are, and the room for more. */
export class Members {
  readonly #options: MembersOptions;
  readonly #all = new Set<Member>();

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  get all(): readonly Member[] {
    return [...this.#all];
  }

  add(member: Member): void {
    this.#all.add(member);
  }

  delete(member: Member): void {
    this.#all.delete(member);
  }

  /** Those of a key. */
  of(keyed: Keyed): Member[] {
    return this.all.filter(({ of }) => of === keyed);
  }

  /** See `Runners.refusal`. */
  refusal({ limits, gpus }: RunnerNeeds): string | undefined {
    const { memoryBytes } = this.#options.limits;
    if (limits.memoryBytes > memoryBytes)
      return `A runner with ${formatBytes(limits.memoryBytes)} of memory cannot be here: all runners of this worker together have ${formatBytes(memoryBytes)}.`;
    const all = this.#options.gpus.gpus.length;
    if (gpus > all) return `A runner with ${gpus} GPUs cannot be here: this worker has ${all}.`;
    return undefined;
  }

  /** See `Runners.room`. */
  room(): RunnerRoom {
    const { limits, gpus } = this.#options;
    const busy = this.all.filter(({ runner }) => runner.state !== 'idle');
    return {
      runners: Math.max(0, limits.most - busy.length),
      memoryBytes: Math.max(0, limits.memoryBytes - memoryOf(busy)),
      gpus: gpus.free,
      mostMemoryBytes: limits.memoryBytes,
    };
  }

  /**
   * Room for a runner, as a lease of its GPUs; undefined where there is none now. Idle runners are ended for it, the least
   * recently used first, and busy ones that had their turn get no more calls where `isNeeded`.
   */
  roomFor(plan: RunnerPlan, isNeeded: boolean): GpuLease | undefined {
    const { limits, gpus } = this.#options;
    const seat = this.#seatOf(plan);
    const seated = this.all.find(({ runner }) => this.#seatOf(runner.plan) === seat);
    if (seat !== undefined && seated !== undefined) {
      if (seated.runner.state === 'idle') void seated.runner.end('its place was needed');
      else if (isNeeded) this.#endATurn([seated]);
      return undefined;
    }
    const fits = (members: readonly Member[]) =>
      members.length < limits.most && memoryOf(members) + plan.limits.memoryBytes <= limits.memoryBytes;
    if (fits(this.all)) {
      const lease = gpus.lease(plan.gpus);
      if (lease !== undefined) return lease;
      if (isNeeded) this.#endATurn(this.all.filter(({ runner }) => runner.plan.gpus > 0));
      return undefined;
    }
    const staying = this.all.filter(({ runner }) => !runner.isEnding);
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
    const sharesPort = protocol === 'zeromq' && program === undefined && !this.#options.isolates;
    return sharesPort ? `port ${RUNNER_PORT}` : seat;
  }

  #endATurn(members: readonly Member[]): void {
    const since = performance.now() - (this.#options.limits.turnMs ?? TURN_MS);
    const [oldest] = members
      .filter(({ runner }) => runner.state === 'busy' && runner.startedAt + (runner.startMs ?? 0) < since)
      .toSorted((a, b) => a.runner.startedAt - b.runner.startedAt);
    if (members.every(({ runner }) => runner.state !== 'ending'))
      oldest?.runner.retire('others waited for its room');
  }
}

function memoryOf(members: readonly Member[]): number {
  return members.reduce((sum, { runner }) => sum + runner.plan.limits.memoryBytes, 0);
}
