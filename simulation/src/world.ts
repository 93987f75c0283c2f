import type { Api, ComputeContract } from '@morpheo/common';
import { isPlatformError } from '@morpheo/common';
import {
  COMPUTE_DEFAULTS,
  type Compute,
  type ComputeSettings,
  migrations,
  type Schema,
  startCompute,
} from '@morpheo/compute-api';
import { WorkerAgent } from '@morpheo/compute-worker';
import type { Random } from '@morpheo/real-parts';
import { type Database, openSqlite } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';
import type { Faults } from './faults/faults.ts';
import { LossyBroker } from './parts/broker.ts';
import { type DatabaseClock, databaseOf } from './parts/database.ts';
import { Machine } from './parts/machine.ts';
import { type Destination, type OnAnswer, overNetwork } from './parts/network.ts';
import { SimulatedOrchestrator } from './parts/orchestrator.ts';
import { type OrderStorage, type ResultStorage, SimulatedStorage, signTicket } from './parts/storage.ts';
import { sleep } from './parts/virtual-time.ts';
import type { Trace } from './trace.ts';
import { traceLog } from './trace-log.ts';
import { simulatedWork } from './work.ts';

/** How patient the simulated platform is: the leases of production, shorter pauses. */
export const SETTINGS: ComputeSettings = {
  ...COMPUTE_DEFAULTS,
  everyMs: 4000,
  retryBackOff: { firstMs: 500, mostMs: 10_000, jitter: 0.25 },
  effectBackOff: { firstMs: 500, mostMs: 10_000, jitter: 0.25 },
};

interface ComputeProcess {
  readonly machine: Machine;
  readonly compute: Compute;
}

/** What a world is made of. */
export interface WorldOptions {
  readonly random: Random;
  readonly faults: Faults;
  readonly trace: Trace;
  readonly computes: number;
  readonly workers: number;
}

/**
 * A platform whose processes run the real code of orders, leases, relay, reaper and workers, while database, broker,
 * network, storage and orchestrator are ours to break.
 */
export class World {
  readonly storage = new SimulatedStorage();
  readonly orchestrator = new SimulatedOrchestrator();
  readonly clock: DatabaseClock = { offsetMs: 0 };
  readonly database: Database<Schema>;
  /** How many calls of attempts were refused as stale. */
  staleCalls = 0;
  readonly #options: WorldOptions;
  readonly #broker: LossyBroker;
  readonly #computes: (ComputeProcess | undefined)[];
  readonly #workers: (Machine | undefined)[];
  readonly #workerIds: readonly string[];
  readonly #outside = new Machine('outside');

  private constructor(database: Database<Schema>, options: WorldOptions) {
    this.database = database;
    this.#options = options;
    this.#broker = new LossyBroker(options.faults, options.random);
    this.#computes = Array.from({ length: options.computes }, () => undefined);
    this.#workers = Array.from({ length: options.workers }, () => undefined);
    this.#workerIds = this.#workers.map(() => options.random.uuid());
  }

  /** Opens a world in which every process runs. */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(await openSqlite<Schema>({ file: ':memory:', migrations }), options);
    await world.startAll();
    return world;
  }

  /** The processes by name, whether they run or not. */
  get processes(): readonly string[] {
    return [...this.#computes.map((_, i) => `compute-${i}`), ...this.#workers.map((_, i) => `worker-${i}`)];
  }

  /** compute-api as somebody outside reaches it. */
  get api(): Api<ComputeContract> {
    return overNetwork(this.#outside, this.#computeService(), this.#options.faults);
  }

  /** Starts what was killed, and lets go on what stands still. */
  async startAll(): Promise<void> {
    for (const name of this.processes) await this.start(name);
  }

  /** Starts a process, or lets it go on. */
  async start(name: string): Promise<void> {
    const machine = this.#machine(name);
    if (machine !== undefined) return machine.thaw();
    this.#options.trace.say(name, 'starts');
    const [kind, index] = place(name);
    if (kind === 'compute') this.#computes[index] = this.#startCompute(name);
    else this.#workers[index] = await this.#startWorker(name, index);
  }

  /** SIGKILL. */
  kill(name: string): void {
    this.#options.trace.say(name, 'is killed');
    this.#machine(name)?.kill();
    const [kind, index] = place(name);
    if (kind === 'compute') this.#computes[index] = undefined;
    else this.#workers[index] = undefined;
  }

  /** SIGSTOP. */
  freeze(name: string): void {
    this.#options.trace.say(name, 'stands still');
    this.#machine(name)?.freeze();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    for (const name of this.processes) this.#machine(name)?.kill();
    await this.database[Symbol.asyncDispose]();
  }

  #machine(name: string): Machine | undefined {
    const [kind, index] = place(name);
    return kind === 'compute' ? this.#computes[index]?.machine : this.#workers[index];
  }

  #startCompute(name: string): ComputeProcess {
    const { faults } = this.#options;
    const machine = new Machine(name);
    const there = (api: object, service: string) => ({
      name: service,
      find: () => ({ api, machine: this.#outside }),
    });
    const compute = startCompute({
      database: databaseOf(machine, this.database, this.clock, faults),
      broker: this.#broker.seenBy(machine),
      storage: overNetwork(machine, there(this.storage.api, 'storage'), faults) as OrderStorage,
      signTicket,
      orchestrator: overNetwork(
        machine,
        there(this.orchestrator.api, 'orchestrator'),
        faults,
      ) as SimulatedOrchestrator['api'],
      settings: SETTINGS,
      log: this.#log(name),
    });
    return { machine, compute };
  }

  async #startWorker(name: string, index: number): Promise<Machine> {
    const { faults, random } = this.#options;
    const machine = new Machine(name);
    const openStorage = (ticket: () => string | undefined) => {
      const api = this.storage.seenBy(ticket);
      return overNetwork<ResultStorage>(
        machine,
        { name: 'storage', find: () => ({ api, machine: this.#outside }) },
        faults,
      );
    };
    const work = simulatedWork(openStorage, faults, random);
    const compute = overNetwork(machine, this.#computeService(), faults, this.#count(name));
    const log = this.#log(name);
    const agent = new WorkerAgent({
      ...{ compute, log, name, broker: this.#broker.seenBy(machine), runtime: { name: 'dummy' as const } },
      ...{
        id: this.#workerIds[index] ?? '',
        slots: { learn: 2, predict: 1, job: 1 },
        pollMs: 5000,
        graceMs: 5000,
      },
      ...{ work, logBytes: 1_000_000 },
    });
    // A worker that was superseded ends; whoever looks after processes starts it again.
    agent.stopped.catch(() => {
      if (!machine.isUp) return;
      this.kill(name);
      void sleep(1000).then(async () => await this.start(name));
    });
    return machine;
  }

  #computeService(): Destination<Api<ComputeContract>> {
    return {
      name: 'compute',
      find: () => {
        const up = this.#computes.filter((one) => one !== undefined);
        if (up.length === 0) return undefined;
        const { compute, machine } = this.#options.random.pick(up);
        return { api: compute.api, machine };
      },
    };
  }

  #count(worker: string): OnAnswer {
    return (call, error) => {
      if (!isPlatformError(error, 'stale_attempt')) return;
      this.staleCalls += 1;
      this.#options.trace.say(worker, `${call} is refused as stale`);
    };
  }

  #log(name: string): Log {
    return traceLog(this.#options.trace, name);
  }
}

function place(name: string): ['compute' | 'worker', number] {
  const [kind, index] = name.split('-');
  return [kind === 'compute' ? 'compute' : 'worker', Number(index)];
}
