import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { SharedWork } from '../../../async/single-flight.ts';
import { contextOf, referenceTo } from '../../driver.ts';
import type { BuildContext, PreparedImage, PrepareOptions } from '../../index.ts';
import type { Daemon } from '../client/daemon.ts';
import { imageName, LABELS } from '../labels.ts';
import { type BuildOptions, buildImage } from './build.ts';
import { type CollectImagesOptions, collectImages, evictImages } from './collect.ts';
import { DaemonRoom } from './room.ts';

/** An image as a run needs it. */
export interface ReadyImage {
  readonly name: string;
  readonly entryPoint: readonly string[];
  /** What follows the entry point where a run has no arguments of its own. */
  readonly command: readonly string[];
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
  readonly builds: Omit<BuildOptions, 'hasRoom'>;
  /** What the images of contexts may take in the daemon, in bytes, before the longest unused go. */
  readonly cacheBytes: number;
  readonly log: Log;
}

const AGAIN =
  'The disk of Docker was full: images that nobody used were removed, and this one is built anew.\n';

const inspected = z.object({
  Config: z.object({
    Entrypoint: z.array(z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    WorkingDir: z.string().nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
});
const volumes = z.array(z.string());

/** Names that are held, each as often as it is. */
class Holds {
  readonly #counts = new Map<string, number>();

  has(name: string): boolean {
    return this.#counts.has(name);
  }

  /** Holds a name until what it returns is called; doing that twice is harmless. */
  hold(name: string): () => void {
    this.#add(name, 1);
    let released = false;
    return () => {
      if (!released) this.#add(name, -1);
      released = true;
    };
  }

  #add(name: string, change: 1 | -1): void {
    const count = (this.#counts.get(name) ?? 0) + change;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}

/** The images of build contexts in a daemon: built once per digest, by whichever worker came first. */
export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #building = new SharedWork<ReadyImage>();
  /** When each was last asked for here, by its name; in milliseconds since 1970. */
  readonly #used = new Map<string, number>();
  /** Those that runs have opened: they stay. */
  readonly #opened = new Holds();
  /** Those that orders were prepared with: they stay as long as there is room for them. */
  readonly #needed = new Holds();

  /** Whether the daemon has room for more. */
  readonly room: DaemonRoom;
  #look: 'due' | 'done' = 'due';

  constructor(options: ImageStoreOptions) {
    this.#options = options;
    const { daemon, log } = options;
    const isHeld = (name: string) => this.#opened.has(name) || this.#needed.has(name);
    const evict = async (share: number) => await evictImages({ ...this.#collecting, isHeld }, share);
    this.room = new DaemonRoom({ daemon, evict, log });
  }

  /** See `ContainerRuntime.prepare`. */
  async prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    let built = false;
    const onBuild = () => {
      built = true;
    };
    const release = this.#needed.hold(imageName(context.digest));
    try {
      await this.#ready(context, options, onBuild);
    } catch (error) {
      release();
      throw error;
    }
    return { reference: referenceTo(context), cached: !built, release };
  }

  /**
   * The image of a prepared reference, built again should somebody have removed it since. It stays until it is
   * disposed, as far as this process is concerned.
   */
  async open(prepared: PreparedImage, signal: AbortSignal): Promise<ReadyImage & Disposable> {
    const context = contextOf(prepared, 'docker');
    const release = this.#opened.hold(imageName(context.digest));
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
    await collectImages(this.#collecting);
  }

  /** Looks whether the daemon's disk has room for another image, where one was built since. Throws `disk_full`. */
  async lookForRoom(): Promise<void> {
    if (this.#look === 'done') return;
    this.#look = 'done';
    await this.room.look();
  }

  get #collecting(): CollectImagesOptions {
    const { daemon, cacheBytes, log } = this.#options;
    return { daemon, cacheBytes, lastUsed: this.#used, isHeld: (name) => this.#opened.has(name), log };
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
    const { daemon, log } = this.#options;
    const builds = { ...this.#options.builds, hasRoom: async () => await this.room.isThere() };
    const bytes = Buffer.from(AGAIN);
    const onAgain = async () => await options.onOutput({ stream: 'stdout', bytes });
    this.#look = 'due';
    await this.room.use(async () => await buildImage(daemon, context, builds, options), onAgain);
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
      command: [],
      searchPath: (Config.Env ?? []).find((text) => text.startsWith('PATH='))?.slice('PATH='.length) ?? '',
      workingFolder: Config.WorkingDir || '/',
      variables: (Config.Env ?? []).flatMap((text) => /^([^=]+)=/.exec(text)?.[1] ?? []),
      volumes: volumes.parse(JSON.parse(declared)),
    };
  }
}
