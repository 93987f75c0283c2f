import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { SharedWork } from '../../shared-work.ts';
import { noEntryPoint } from '../dockerfile/entry-point.ts';
import { readDockerfileText } from '../dockerfile/read-dockerfile.ts';
import type { BuildContext, PreparedImage, PrepareOptions } from '../index.ts';
import { type BuildLimits, buildImage } from './build.ts';
import { type Daemon, removed } from './daemon.ts';
import { isAnswer } from './daemon-error.ts';
import { collectImages } from './image-collection.ts';
import { imageName } from './labels.ts';

/** An image as a run needs it. */
export interface ReadyImage {
  readonly name: string;
  readonly entryPoint: readonly string[];
  /** Names of the variables that it sets. */
  readonly variables: readonly string[];
  /** Paths that it declares as volumes. */
  readonly volumes: readonly string[];
}

/** What an {@link ImageStore} works with. */
export interface ImageStoreOptions {
  readonly daemon: Daemon;
  readonly limits: BuildLimits;
  /** What the images of contexts may take in the daemon, in bytes, before the longest unused go. */
  readonly cacheBytes: number;
  readonly log: Log;
}

const inspected = z.object({
  Config: z.object({
    Entrypoint: z.array(z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    Volumes: z.record(z.string(), z.unknown()).nullish(),
  }),
});

/** The images of build contexts in a daemon: built once per digest, by whichever worker came first. */
export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #building = new SharedWork<ReadyImage>();
  /** When each was last asked for here, by its name; in milliseconds since 1970. */
  readonly #used = new Map<string, number>();
  /** How many runs have opened each, by its name. */
  readonly #held = new Map<string, number>();

  constructor(options: ImageStoreOptions) {
    this.#options = options;
  }

  /** See `ContainerRuntime.prepare`. */
  async prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    const { digest, folder } = context;
    let built = false;
    const onBuild = () => {
      built = true;
    };
    await this.#ready(context, options, onBuild);
    return { reference: `${digest}:${folder}`, cached: !built };
  }

  /**
   * The image of a prepared reference, built again should somebody have removed it since. It stays until it is
   * disposed, as far as this process is concerned.
   */
  async open({ reference }: PreparedImage, signal: AbortSignal): Promise<ReadyImage & Disposable> {
    const [, digest, folder] = /^([^:]*):(.*)$/s.exec(reference) ?? [];
    if (digest === undefined || folder === undefined) {
      throw new PlatformError('internal', 'The image was not prepared by the docker runtime.');
    }
    const release = this.#hold(imageName(digest));
    try {
      const image = await this.#ready({ digest, folder }, { signal, onOutput: async () => undefined });
      return { ...image, [Symbol.dispose]: release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Removes the longest unused images while all of them together take more than they may. */
  async collect(): Promise<void> {
    const { daemon, cacheBytes, log } = this.#options;
    const isHeld = (name: string) => this.#held.has(name);
    await collectImages({ daemon, cacheBytes, lastUsed: this.#used, isHeld, log });
  }

  #hold(name: string): () => void {
    const add = (change: 1 | -1) => {
      const count = (this.#held.get(name) ?? 0) + change;
      if (count === 0) this.#held.delete(name);
      else this.#held.set(name, count);
    };
    add(1);
    return () => add(-1);
  }

  async #ready(context: BuildContext, options: PrepareOptions, onBuild?: () => void): Promise<ReadyImage> {
    const { digest } = context;
    const make = async () => {
      const there = await this.#find(digest, options.signal);
      if (there !== undefined) return there;
      onBuild?.();
      return await this.#build(context, options);
    };
    const image = await this.#building.run(digest, options.signal, make);
    this.#used.set(image.name, Date.now());
    return image;
  }

  async #build(context: BuildContext, options: PrepareOptions): Promise<ReadyImage> {
    const { daemon, limits, log } = this.#options;
    const text = await readDockerfileText(context.folder);
    await buildImage(daemon, context, text, limits, options);
    const image = await this.#find(context.digest, options.signal);
    if (image === undefined) {
      throw new PlatformError(
        'unavailable',
        'An image that was built is gone already; it is built anew next time.',
      );
    }
    if (image.entryPoint.length === 0) {
      await this.#remove(image.name);
      throw noEntryPoint();
    }
    this.collect().catch((error: unknown) => log.warn({ error }, 'Unused images could not be removed'));
    return image;
  }

  async #find(digest: string, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const { daemon } = this.#options;
    const name = imageName(digest);
    try {
      const found = await daemon.ask('look for an image', (docker) => docker.getImage(name).inspect(), {
        signal,
      });
      const { Config } = inspected.parse(found);
      return {
        name,
        entryPoint: Config.Entrypoint ?? [],
        variables: (Config.Env ?? []).map((text) => text.split('=', 1)[0] ?? ''),
        volumes: Object.keys(Config.Volumes ?? {}),
      };
    } catch (error) {
      if (isAnswer(error, 404)) return undefined;
      throw error;
    }
  }

  async #remove(name: string): Promise<void> {
    await removed(this.#options.daemon.ask('remove an image', (docker) => docker.getImage(name).remove()));
  }
}
