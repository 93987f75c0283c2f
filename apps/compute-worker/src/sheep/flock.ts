import { createHash } from 'node:crypto';
import { access, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MOST_LABELS, OrderFailure, PlatformError, type SheepModel, sheepLabels } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { type BareSheep, readShepherdFile, type Sheep } from '@morpheo/service/shepherd';
import type { WorkerConfig } from '../config/config.ts';
import type { OwnProgram } from '../runners/index.ts';
import { Family } from '../runtime/process/family.ts';
import { type BareOptions, bareProgram } from './program.ts';

/** The sheep of Shepherd that a worker keeps, as its operator's configuration has them. */
export interface KeptSheep {
  readonly sheep: readonly Sheep[];
  /** What the programs of bare sheep find in their environment; what is of this platform is left out. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads the sheep of a worker from its operator's configuration; undefined where there is none. Throws `invalid_request` for
 * one that is no good, or has more than a worker can offer.
 */
export async function readSheep(
  { shepherdConfig, labels = {} }: Pick<WorkerConfig, 'shepherdConfig' | 'labels'>,
  environment: KeptSheep['environment'],
): Promise<KeptSheep | undefined> {
  if (shepherdConfig === undefined) return undefined;
  const { sheep } = await readShepherdFile(shepherdConfig, environment);
  const offered = Object.keys({ ...labels, ...sheepLabels(sheep) }).length;
  if (offered <= MOST_LABELS) return { sheep, environment };
  const message = `A worker offers at most ${MOST_LABELS} labels, one for each sheep of --shepherd-config and each --label, and these are ${offered}: divide them between workers.`;
  throw new PlatformError('invalid_request', message);
}

/** A model of a bare sheep, as a warm runner. */
export interface BareModel {
  /** `<sheep>/<name>:<version>`. */
  readonly name: string;
  /** There is one program of a sheep at a time. */
  readonly seat: string;
  readonly gpus: number;
  readonly program: OwnProgram;
  /** Throws `OrderFailure` where the sheep does not have it. */
  demand(): Promise<void>;
}

/** What the original starts; it has a folder for each model, with its configuration. */
const isShepherds = ({ program: [name] }: BareSheep) => name !== undefined && basename(name) === RUNNER;
const RUNNER = 'shepherd-runner';

const CONFIG = 'config.yaml';
const OF_THE_PLATFORM = /^MORPHEO_/;

/** The sheep that a worker keeps. */
export class Flock {
  /** What the worker offers. */
  readonly labels: Readonly<Record<string, string>>;
  readonly #bare: ReadonlyMap<string, BareSheep>;
  readonly #options: BareOptions;

  private constructor(sheep: readonly Sheep[], options: BareOptions) {
    this.labels = sheepLabels(sheep);
    this.#bare = new Map(sheep.flatMap((one) => (one.type === 'bare' ? [[one.id, one] as const] : [])));
    this.#options = options;
  }

  /** Ends what an earlier process of the worker with this folder has left of its sheep. */
  static async open(kept: KeptSheep | undefined, folder: string, log: Log): Promise<Flock> {
    const { sheep = [], environment = {} } = kept ?? {};
    const place = createHash('sha256').update(await realpath(folder));
    const marker = `sheep-${place.digest('hex').slice(0, 16)}:`;
    const killed = await new Family(marker).end();
    if (killed > 0)
      log.warn({ processes: killed }, 'Killed programs of bare sheep that an earlier worker left');
    const own = Object.entries(environment).filter(([name]) => !OF_THE_PLATFORM.test(name));
    const defined = own.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
    return new Flock(sheep, { marker, environment: Object.fromEntries(defined) });
  }

  /** A model of a bare sheep. Throws `unavailable` for a sheep that is kept elsewhere. */
  model({ id, name, version }: SheepModel): BareModel {
    const sheep = this.#bare.get(id);
    if (sheep === undefined) throw new PlatformError('unavailable', `This worker has no bare sheep ${id}.`);
    const config = join(name, version, CONFIG);
    return {
      name: `${id}/${name}:${version}`,
      seat: `sheep ${id}`,
      gpus: sheep.gpus.length,
      program: bareProgram(sheep, config, this.#options),
      demand: async () => {
        if (!isShepherds(sheep)) return;
        await access(join(sheep.workingDirectory, config)).catch((cause: unknown) => {
          const message = `The sheep ${id} has no model ${name}:${version}: there is no ${config} in its working directory.`;
          throw new OrderFailure('sheep_model_missing', { message }, cause);
        });
      },
    };
  }
}
