import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { SharedWork } from '../../../async/single-flight.ts';
import { contextOf, referenceTo } from '../../driver.ts';
import type { BuildContext, PreparedImage, PrepareOptions } from '../../index.ts';
import type { Daemon } from '../client/daemon.ts';
import { imageName, LABELS } from '../labels.ts';
import { type BuildOptions, buildImage } from './build.ts';
import { collectImages } from './collect.ts';

/** An image as a run needs it. */
export interface ReadyImage {
  readonly name: string;
  readonly entryPoint: readonly string[];
  /** Its `PATH`. */
  readonly searchPath: string;
  readonly workingFolder: string;
  /** Names of the variables that it sets. */
  readonly variables: readonly string[];
  /** Paths that are to be memory of a run, since it declares them as volumes. */
  readonly volumes: readonly string[];
}

/** What an {@link ImageStore} works with. */
export interface ImageStoreOptions {
  readonly daemon: Daemon;
  readonly builds: BuildOptions;
  /** What the images of contexts may take in the daemon, in bytes, before the longest unused go. */
  readonly cacheBytes: number;
  readonly log: Log;
}

const inspected = z.object({
  Config: z.object({
    Entrypoint: z.array(z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    WorkingDir: z.string().nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
});
const volumes = z.array(z.string());

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
    let built = false;
    const onBuild = () => {
      built = true;
    };
    await this.#ready(context, options, onBuild);
    return { reference: referenceTo(context), cached: !built };
  }

  /**
   * The image of a prepared reference, built again should somebody have removed it since. It stays until it is
   * disposed, as far as this process is concerned.
   */
  async open(prepared: PreparedImage, signal: AbortSignal): Promise<ReadyImage & Disposable> {
    const context = contextOf(prepared, 'docker');
    const release = this.#hold(imageName(context.digest));
    try {
      const image = await this.#ready(context, { signal, onOutput: async () => undefined });
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
    const { daemon, builds, log } = this.#options;
    await buildImage(daemon, context, builds, options);
    const image = await this.#find(context.digest, options.signal);
    if (image === undefined) {
      throw new PlatformError(
        'unavailable',
        'An image that was built is gone already; it is built anew next time.',
      );
    }
    this.collect().catch((error: unknown) => log.warn({ error }, 'Unused images could not be removed'));
    return image;
  }

  async #find(digest: string, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const name = imageName(digest);
    const image = await this.#options.daemon.inspectImage(name, { signal });
    if (image === undefined) return undefined;
    const { Config } = inspected.parse(image);
    const declared = Config.Labels?.[LABELS.volumes];
    // It was built by an earlier version, which did not check what this one does: it is built again.
    if (declared === undefined) return undefined;
    return {
      name,
      entryPoint: Config.Entrypoint ?? [],
      searchPath: (Config.Env ?? []).find((text) => text.startsWith('PATH='))?.slice('PATH='.length) ?? '',
      workingFolder: Config.WorkingDir || '/',
      variables: (Config.Env ?? []).flatMap((text) => /^([^=]+)=/.exec(text)?.[1] ?? []),
      volumes: volumes.parse(JSON.parse(declared)),
    };
  }
}
