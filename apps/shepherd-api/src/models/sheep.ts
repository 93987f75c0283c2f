import { type Job, PlatformError, type RunnerView, type SheepStatus } from '@morpheo/common';
import { type Sheep, sheepLabels } from '@morpheo/service/shepherd';
import type { Models } from './models.ts';

/** A place for a job: the sheep, where there are some, and what of it an order has to say. */
export interface Place {
  readonly sheep: Sheep | undefined;
  readonly order: Pick<Job, 'gpus' | 'needs'>;
}

/** The sheep of the configuration: whose turn it is, and what they do. */
export class Flock {
  readonly #sheep: readonly Sheep[];
  #turn = 0;

  constructor(sheep: readonly Sheep[]) {
    this.#sheep = sheep;
  }

  /**
   * The place for a job. One that names no sheep goes to any worker that keeps images warm, with as many GPUs as the sheep has
   * whose turn it is; a bare sheep does its jobs itself. Throws `invalid_request` for a sheep that is not there.
   */
  choose(id: string | null | undefined): Place {
    if (id == null) return this.#next();
    const sheep = this.#sheep.find((one) => one.id === id);
    if (sheep === undefined) throw new PlatformError('invalid_request', `Unknown sheep id \`${id}\``);
    return { sheep, order: { ...gpusOf(sheep), needs: { labels: sheepLabels([sheep]) } } };
  }

  #next(): Place {
    const sheep = this.#sheep[this.#turn % Math.max(1, this.#sheep.length)];
    this.#turn += 1;
    if (sheep === undefined) return { sheep, order: {} };
    return { sheep, order: sheep.type === 'bare' ? this.choose(sheep.id).order : gpusOf(sheep) };
  }

  /** The sheep with what they run now: images are shared out among those that run images, in their order. */
  status(runners: readonly RunnerView[], models: Models): Record<string, SheepStatus> {
    const warm = runners.filter(({ state }) => state !== 'broken' && state !== 'ending');
    const images = warm.flatMap(({ image }) => models.nameOfImage(image) ?? []);
    const modelOf = ({ id, type }: Sheep): SheepStatus['model'] | undefined =>
      type === 'docker' ? images.shift() : bareModel(id, warm);
    return Object.fromEntries(
      this.#sheep.map((sheep) => {
        const model = modelOf(sheep);
        return [sheep.id, { running: model !== undefined, model: model ?? NOTHING, request: null }];
      }),
    );
  }
}

const NOTHING = { name: null, version: null };

/** The model that a bare sheep runs: workers call it `<sheep>/<name>:<version>`. */
function bareModel(id: string, warm: readonly RunnerView[]): SheepStatus['model'] | undefined {
  const image = warm.find((runner) => runner.image.startsWith(`${id}/`))?.image;
  const [, name, version] = /^[^/]*\/(.*):([^:]*)$/.exec(image ?? '') ?? [];
  return name === undefined || version === undefined ? undefined : { name, version };
}

function gpusOf({ gpus }: Sheep): Pick<Job, 'gpus'> {
  return gpus.length === 0 ? {} : { gpus: gpus.length };
}
