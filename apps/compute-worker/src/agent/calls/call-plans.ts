import type { GivenCall } from '@morpheo/common';
import { describedAtOnce } from '../../attempt/described-inputs.ts';
import { ticketedStorage } from '../../attempt/ticketed-storage.ts';
import type { OpenStorage } from '../../clients.ts';
import type { InputStorage } from '../../inputs/download.ts';
import { Supplies, type SupplyLog, type SupplyParts } from '../../inputs/supplies.ts';
import type { RunnerPlan } from '../../runners/index.ts';
import type { RunLimits } from '../../runtime/index.ts';
import { withinLimits } from '../../steps/run-step.ts';
import { splitInputs } from '../../warm/call-files.ts';
import { planRunner } from '../../warm/plan.ts';

/** What {@link CallPlans} work with. */
export interface CallPlanParts extends SupplyParts {
  readonly openStorage: OpenStorage;
}

/** A plan, and the call that has asked for it last: by its ticket comes what a runner is started with. */
interface Known {
  readonly plan: RunnerPlan;
  readonly until: number;
  readonly latest: { given: GivenCall; log: SupplyLog };
}

/**
 * How long a plan is kept, in milliseconds: storage is not asked at each call what its things are. What a call names is held
 * against change while it is under way.
 */
const KEPT_MS = 30_000;
const MOST_KEPT = 1000;

/** The plans of runners for calls, and what brings the inputs of calls. */
export class CallPlans {
  readonly #parts: CallPlanParts;
  readonly #known = new Map<string, Known>();

  constructor(parts: CallPlanParts) {
    this.#parts = parts;
  }

  /** The plan of the runner that is to answer a call. Throws as {@link planRunner} does. */
  async planOf(given: GivenCall, log: SupplyLog, signal: AbortSignal): Promise<RunnerPlan> {
    const before = this.#known.get(given.key);
    if (before !== undefined && before.until > performance.now()) {
      Object.assign(before.latest, { given, log });
      return before.plan;
    }
    const latest = { given, log };
    const plan = await this.#make(given, (stop) => this.supplies(latest.given, latest.log, stop), signal);
    this.#keep(given.key, { plan, until: performance.now() + KEPT_MS, latest });
    return plan;
  }

  /** What brings the inputs of a call by its ticket: copies, since its program may write to them. */
  supplies(given: GivenCall, log: SupplyLog, signal: AbortSignal): Supplies {
    const { openStorage, limits } = this.#parts;
    const storage = storageOf(openStorage, given, signal);
    const { log: say, buildOutput } = log;
    return new Supplies(this.#parts, { storage, wallMs: limits.wallMs.job, log: say, buildOutput, signal });
  }

  /** The keys of plans by those of calls. */
  *keys(): Generator<readonly [call: string, plan: string]> {
    for (const [call, { plan }] of this.#known) yield [call, plan.key];
  }

  async #make(
    given: GivenCall,
    open: (signal: AbortSignal) => Supplies,
    signal: AbortSignal,
  ): Promise<RunnerPlan> {
    const { spec, owner = '', model, gpus, key } = given;
    const { image, algo, warm, command, env, inputs = [] } = spec;
    const request = {
      ...{ owner, protocol: warm, image, algo, model, gpus, callKey: key },
      ...{
        args: command,
        environment: env,
        inputs: splitInputs(inputs).ofRunner,
        limits: this.#limitsOf(given),
      },
    };
    return await planRunner(request, open, signal);
  }

  #limitsOf({ spec: { limits = {} }, run_ms: runMs }: GivenCall): RunLimits {
    const { run, wallMs } = this.#parts.limits;
    const { wall_seconds: seconds, memory_bytes: memoryBytes, disk_bytes: diskBytes } = limits;
    const own = runMs ?? (seconds === undefined ? undefined : seconds * 1000);
    return withinLimits({ ...run, wallMs: wallMs.job }, { wallMs: own, memoryBytes, diskBytes });
  }

  #keep(key: string, known: Known): void {
    // The newest come last.
    this.#known.delete(key);
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KEPT && oldest !== undefined) this.#known.delete(oldest);
  }
}

/** storage-api as a call may see it: by its ticket, and where it names things, of all of them at once. */
function storageOf(openStorage: OpenStorage, given: GivenCall, signal: AbortSignal): InputStorage {
  const ticket = () => given.ticket;
  const calls = openStorage(ticket);
  const ticketed = ticketedStorage(calls, ticket);
  if (given.pinned === undefined) return ticketed;
  return {
    ...ticketed,
    get: describedAtOnce({ ...calls, ...ticketed }, { ...given.pinned, ticket, signal }),
  };
}
