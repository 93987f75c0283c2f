import type { MeasuredResource, Step } from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import { span } from '@morpheo/service/trace';
import pLimit from 'p-limit';
import { treeLimits, type WorkerLimits } from '../config/limits.ts';
import type { Placing } from '../files/copy-in.ts';
import type { ImagePolicy } from '../images/policy.ts';
import { pullImage } from '../images/pull.ts';
import type { WorkerMeters } from '../metrics.ts';
import type { ContainerRuntime, OutputChunk, PreparedImage } from '../runtime/index.ts';
import { formatDuration } from '../steps/format.ts';
import type { Cache, Cached, CacheRequest } from './cache/index.ts';
import { type BlobName, type InputStorage, nameOf } from './download.ts';
import type { InputBlob, Inputs } from './fetch.ts';
import { type Image, prepareImage } from './images.ts';

/** The parts of a worker by which things come to it. */
export interface SupplyParts {
  readonly inputs: Inputs;
  readonly cache: Cache;
  readonly runtime: ContainerRuntime;
  readonly images: ImagePolicy;
  readonly limits: WorkerLimits;
  readonly meters: WorkerMeters;
}

/** What one of the builds prints; disposing ends a last line that was left open. */
export interface BuildOutput extends AsyncDisposable {
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
}

/** Who hears how things come. */
export interface SupplyLog {
  /** A line of the platform's own. */
  readonly log: (step: Step, line: string) => void;
  /** Takes what a build prints; `whose` says in front of each line which one it is. */
  readonly buildOutput: (whose: string) => BuildOutput;
}

/** What {@link Supplies} are made with. */
export interface SupplyOptions extends SupplyLog {
  /** By the rights of those who use what comes. */
  readonly storage: InputStorage;
  /** How long making an image ready may take, in milliseconds. */
  readonly wallMs: number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** How often the log says that a build goes on, in milliseconds. */
const PROGRESS_MS = 30_000;

/** Brings inputs and images to a worker. All of it stays until this is disposed. */
export class Supplies {
  readonly signal: AbortSignal;
  /** The bounds of a tree that an archive unpacks to. */
  readonly treeLimits: TreeLimits;
  /** How files come under a mount that the code may only read. */
  readonly placing: Placing;
  readonly #parts: SupplyParts;
  readonly #options: SupplyOptions;
  readonly #inUse = new DisposableStack();
  /** Builds one image at a time: so an order never takes more memory than its slot has. */
  readonly #builds = pLimit(1);

  constructor(parts: SupplyParts, options: SupplyOptions) {
    this.#parts = parts;
    this.#options = options;
    this.signal = options.signal;
    this.treeLimits = treeLimits(parts.limits);
    this.placing = parts.runtime.isolates ? 'link' : 'copy';
  }

  /** What storage knows of a thing. Throws `OrderFailure` with `input_not_found` where it knows none. */
  async describe(name: BlobName): Promise<MeasuredResource> {
    return await this.#parts.inputs.describe(name, this.#options.storage, this.signal);
  }

  /** Fetches an input. Throws as {@link Inputs.fetch} does. */
  async fetch(name: BlobName, signal: AbortSignal = this.signal): Promise<InputBlob> {
    const { inputs, meters } = this.#parts;
    const blob = await span('download input', { type: name.type, uuid: name.uuid }, async (about) => {
      const fetched = this.#inUse.use(await inputs.fetch(name, this.#options.storage, signal));
      about.set({ bytes: fetched.bytes, cached: fetched.cached });
      return fetched;
    });
    meters.inputCame(blob.bytes, blob.cached);
    return blob;
  }

  /** Makes the image of a build context ready to run. Throws as {@link prepareImage} does. */
  async image(archive: InputBlob, signal: AbortSignal = this.signal): Promise<Image> {
    const { cache, runtime, meters } = this.#parts;
    const { wallMs, log } = this.#options;
    const { type, uuid } = archive;
    await using build = this.#options.buildOutput(type);
    const { onOutput } = build;
    const options = { cache, runtime, limits: this.treeLimits, wallMs, signal, onOutput };
    const startedAt = performance.now();
    const tellProgress = () => {
      const ran = formatDuration(Math.round((performance.now() - startedAt) / 1000) * 1000);
      log('build', `build: ${nameOf(archive)} goes on, for ${ran} by now`);
    };
    using _progress = every(PROGRESS_MS, tellProgress);
    const image = await span('prepare image', { type, uuid }, async (about) => {
      const made = this.#inUse.use(await this.#builds(async () => await prepareImage(archive, options)));
      about.set({ cached: made.prepared.cached });
      return made;
    });
    const { cached } = image.prepared;
    meters.imageCame(cached);
    log('build', `build: ${nameOf(archive)} is ${cached ? 'there already' : 'ready'}`);
    return image;
  }

  /** Makes the image of a registry ready to run, by its reference with a digest. Throws as {@link pullImage} does. */
  async pull(reference: string): Promise<PreparedImage> {
    const { images: policy, cache, runtime, meters } = this.#parts;
    const { signal } = this;
    await using build = this.#options.buildOutput('image');
    const { onOutput } = build;
    const log = (line: string) => this.#options.log('build', `build: ${line}`);
    const options = { policy, cache, runtime, signal, log, onOutput, progressMs: PROGRESS_MS };
    return await span('pull image', { image: reference }, async (about) => {
      const prepared = await pullImage(reference, options);
      this.#inUse.defer(() => prepared.release?.());
      about.set({ cached: prepared.cached });
      meters.imageCame(prepared.cached);
      return prepared;
    });
  }

  /** An entry of the cache. */
  async cached(wanted: Omit<CacheRequest, 'signal'>): Promise<Cached> {
    return this.#inUse.use(await this.#parts.cache.use({ ...wanted, signal: this.signal }));
  }

  [Symbol.dispose](): void {
    this.#inUse.dispose();
  }
}

function every(ms: number, work: () => void): Disposable {
  const timer = setInterval(work, ms);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
