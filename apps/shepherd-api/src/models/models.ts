import {
  type ImageReference,
  imageText,
  isPlatformError,
  isUuid,
  type Job,
  type OrderView,
  PlatformError,
  parseImageReference,
  type SheepModel,
  sheepModel,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { allowedImagesList, ImageRefusal, Registries } from '@morpheo/service/registry';
import type { Sheep, ShepherdFile } from '@morpheo/service/shepherd';
import type { ModelName } from '../jobs/status.ts';

/** What a job runs: an image with its digest, a model of a bare sheep, or an algorithm on storage. */
export type Runs = Pick<Job, 'image' | 'algo' | 'sheep'>;

/** Finds what the models of jobs are. */
export interface Models {
  /**
   * What a job of a model runs. Throws `invalid_request` where there is no such model, and `unavailable` where that cannot
   * be asked.
   */
  find(model: ModelName, sheep: Sheep | undefined): Promise<Runs>;
  /** The model of an order, as it was asked for. */
  nameOf(order: Pick<OrderView, 'algo' | 'job'>): ModelName;
  /** The model that an image is; undefined where it is none of the registry. */
  nameOfImage(image: string): ModelName | undefined;
}

/** How long what a tag means is taken for the same, in milliseconds. */
const KNOWN_MS = 30_000;
/** How many tags are remembered. */
const MOST_KNOWN = 1000;
/** How long a registry may take to answer. */
const ANSWER_MS = 20_000;

/** What is remembered of a tag. */
interface Known {
  /** Resolves to the image with its digest. */
  readonly pinned: Promise<string>;
  readonly at: number;
}

/** Models as the configuration has them: images of its registry, or what its operator has put on a machine. */
export class RegistryModels implements Models {
  readonly #place: string | undefined;
  readonly #registries: Registries;
  readonly #log: Log;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();

  constructor(registry: ShepherdFile['registry'], log: Log, clock: () => number = () => performance.now()) {
    const [allowed] = registry === undefined ? [] : allowedImagesList.parse(registry.url.replace(/\/+$/, ''));
    this.#place = allowed && [allowed.registry, allowed.prefix].filter((part) => part !== '').join('/');
    const place = this.#place;
    const credentials = registry?.credentials;
    this.#registries = new Registries({
      allowed: allowed === undefined ? [] : [allowed],
      credentials: () =>
        credentials === undefined || place === undefined
          ? new Map()
          : new Map([[place, { ...credentials, password: credentials.password.reveal() }]]),
    });
    this.#log = log;
    this.#clock = clock;
  }

  async find({ name, version }: ModelName, sheep: Sheep | undefined): Promise<Runs> {
    if (name === null)
      throw new PlatformError('invalid_request', 'Invalid input: the model should have a name');
    if (sheep?.type === 'bare') return { sheep: ofBare({ id: sheep.id, name, version }) };
    if (isUuid(name)) return { algo: name.toLowerCase() };
    if (this.#place === undefined) {
      const message = `Unknown model \`${name}\`: no registry is configured, so it should be the id of an algorithm on storage`;
      throw new PlatformError('invalid_request', message);
    }
    const tag = version ?? 'latest';
    return { image: await this.#pin(parseImageReference(`${this.#place}/${name}:${tag}`)) };
  }

  nameOf({ algo, job }: Pick<OrderView, 'algo' | 'job'>): ModelName {
    if (algo !== undefined) return { name: algo, version: null };
    const { image, sheep } = job ?? {};
    if (sheep !== undefined) return { name: sheep.name, version: sheep.version };
    if (image === undefined) return { name: null, version: null };
    return this.nameOfImage(image) ?? { name: null, version: null };
  }

  nameOfImage(image: string): ModelName | undefined {
    const at = `${this.#place}/`;
    if (this.#place === undefined || !image.startsWith(at)) return undefined;
    const { tag } = parseImageReference(image);
    const name = image.slice(at.length).replace(/[:@].*$/, '');
    return { name, version: tag ?? null };
  }

  async #pin(image: ImageReference): Promise<string> {
    const text = imageText(image);
    const known = this.#known.get(text);
    if (known !== undefined && this.#clock() - known.at < KNOWN_MS) return await known.pinned;
    const pinned = this.#resolve(image, known);
    this.#known.delete(text);
    this.#known.set(text, { pinned, at: this.#clock() });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    try {
      return await pinned;
    } catch (error) {
      // Of what could not be told nothing is remembered.
      if (this.#known.get(text)?.pinned === pinned) this.#known.delete(text);
      throw error;
    }
  }

  async #resolve(image: ImageReference, before: Known | undefined): Promise<string> {
    try {
      const digest = await this.#registries.resolve(image, AbortSignal.timeout(ANSWER_MS));
      return imageText({ ...image, digest });
    } catch (error) {
      if (error instanceof ImageRefusal) {
        const message = `Unknown model \`${image.repository}:${image.tag}\`: ${error.message}`;
        throw new PlatformError('invalid_request', message, { cause: error });
      }
      if (before === undefined) {
        if (isPlatformError(error)) throw error;
        const message = `The registry ${image.registry} does not answer`;
        throw new PlatformError('unavailable', message, { cause: error });
      }
      this.#log.warn(
        { error, image: imageText(image) },
        'The registry cannot be asked; what its tag meant is used',
      );
      return await before.pinned;
    }
  }
}

function ofBare(model: {
  readonly id: string;
  readonly name: string;
  readonly version: string | null;
}): SheepModel {
  const read = sheepModel.safeParse(model);
  if (read.success) return read.data;
  const message = `Unknown model \`${model.name}:${model.version}\`: for the bare sheep ${model.id} its name and its version should both be there, each of at most 128 letters, digits, - _ and .`;
  throw new PlatformError('invalid_request', message);
}
