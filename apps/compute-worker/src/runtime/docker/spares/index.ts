import { join } from 'node:path';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { removeTree } from '../../../files/remove-tree.ts';
import { remembered } from '../../driver.ts';
import type { RunSpec } from '../../index.ts';
import type { ContainerUser, DataTransport } from '../data/transport.ts';
import type { ReadyImage } from '../images/images.ts';
import { gateFor } from './gate.ts';
import { type PlannedRun, planSpare, type SparePlan } from './plan.ts';
import { type SpareLimits, SparePool } from './pool.ts';
import { Spare, type SpareOptions } from './spare.ts';

/** What {@link Spares} are opened with. */
export interface SparesOptions extends Omit<SpareOptions, 'gate'> {
  readonly user: ContainerUser;
  readonly limits: SpareLimits;
  readonly log: Log;
}

const identified = z.object({ Id: z.string() });

/** The containers that are started ahead of their runs. */
export class Spares {
  readonly #options: SparesOptions;
  readonly #pool: SparePool<Spare>;
  readonly #gate: () => Promise<Buffer | undefined>;
  readonly #recovered: () => Promise<void>;

  constructor(options: SparesOptions) {
    this.#options = options;
    const { limits, log, daemon } = options;
    this.#gate = remembered(async () => gateFor((await daemon.facts()).machine));
    this.#recovered = remembered(async () => await removeTree(options.folder));
    const start = async (plan: SparePlan, signal: AbortSignal) => {
      const gate = await this.#gate();
      if (gate === undefined) throw new Error('There is no gate for the machine of the daemon.');
      return await Spare.start(plan, { ...options, gate }, signal);
    };
    this.#pool = new SparePool({ limits, start, log });
  }

  /** The plan for a run; undefined where it is to have a container of its own from the beginning. */
  async planFor(
    run: PlannedRun,
    image: ReadyImage,
    kind: DataTransport['kind'],
  ): Promise<SparePlan | undefined> {
    const { limits, user, daemon } = this.#options;
    if (limits.most === 0 || kind !== 'shared' || (await this.#gate()) === undefined) return undefined;
    return planSpare(run, image, { user, facts: await daemon.facts() });
  }

  /** One for a run, with all that lies in the folders of the run; undefined where there is none. */
  async take(
    plan: SparePlan,
    { mounts }: Pick<RunSpec, 'mounts'>,
    signal: AbortSignal,
  ): Promise<Spare | undefined> {
    const { log } = this.#options;
    const spare = await this.#pool.take(plan.key, signal);
    if (spare === undefined) return undefined;
    try {
      await spare.take(mounts);
      return spare;
    } catch (error) {
      log.warn({ error }, 'The folders of a container that was started ahead cannot be used');
      await spare[Symbol.asyncDispose]();
      return undefined;
    }
  }

  /** See {@link SparePool.near}. */
  near(plan: SparePlan): void {
    this.#pool.near(plan);
  }

  /** See {@link SparePool.ended}. */
  ended(plan: SparePlan): void {
    this.#pool.ended(plan);
  }

  /** Removes those whose image is not there any more. */
  async look(): Promise<void> {
    const { daemon } = this.#options;
    await this.#pool.clear(async ({ image }) => {
      const found = identified.safeParse(await daemon.inspectImage(image.name));
      return found.data?.Id === image.id;
    });
  }

  /** Removes all that wait: they keep their images in use, and take room. */
  async clear(): Promise<void> {
    await this.#pool.clear();
  }

  /** Removes the folders that an earlier process left; to be called before any run. */
  async recover(): Promise<void> {
    await this.#recovered();
  }

  /** Why no container is started ahead, though some are to be; undefined where they are. */
  async problem(): Promise<string | undefined> {
    if (this.#options.limits.most === 0) return undefined;
    if ((await this.#gate()) === undefined) {
      const { machine } = await this.#options.daemon.facts();
      return `No container is started ahead of its run: there is no gate for ${machine}. Say --spares 0.`;
    }
    const { problem } = this.#pool;
    return problem && `The last container that was to be started ahead of its run was not: ${problem}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

/** Where the folders of spare containers lie in the folder of a worker. */
export function spareFolder(folder: string): string {
  return join(folder, 'spares');
}
