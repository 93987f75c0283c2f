import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { SharedWork } from '../../../async/single-flight.ts';
import { contextOf, referenceTo } from '../../driver.ts';
import type {
  BuildContext,
  PreparedImage,
  PrepareOptions,
  RegistryImage,
  RunnerDeclaration,
} from '../../index.ts';
import type { Daemon } from '../client/daemon.ts';
import { imageName, LABELS, LOADED_IMAGES, loadedImageName } from '../labels.ts';
import { type BuildOptions, buildImage } from './build.ts';
import { type CollectImagesOptions, collectImages, evictImages } from './collect.ts';
import { loadImage, runnerOf, volumesOf } from './load.ts';
import { DaemonRoom } from './room.ts';

/** An image as a run needs it. */
export interface ReadyImage {
  /** What containers are made of: a name, or an id. */
  readonly name: string;
  readonly id: string;
  readonly from: 'archive' | 'registry';
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
  /** What its labels declare. */
  readonly runner: RunnerDeclaration | undefined;
}

/** What an {@link ImageStore} works with. */
export interface ImageStoreOptions {
  readonly daemon: Daemon;
  readonly builds: Omit<BuildOptions, 'hasRoom'>;
  /** What the images of contexts may take in the daemon, in bytes, before the longest unused go. */
  readonly cacheBytes: number;
  /** Lets go of what keeps images in use and can be done without; called before images are removed to make room. */
  readonly release: () => Promise<void>;
  readonly log: Log;
}

const AGAIN =
  'The disk of Docker was full: images that nobody used were removed, and this one is built anew.\n';

const inspected = z.object({
  Id: z.string(),
  Config: z.object({
    Cmd: z.array(z.string()).nullish(),
    Volumes: z.record(z.string(), z.unknown()).nullish(),
    Entrypoint: z.array(z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    WorkingDir: z.string().nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
});
const volumes = z.array(z.string());
/** So many images are remembered as they were seen. */
const SEEN = 100;

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

/**
 * The images of build contexts, and of registries, in a daemon: built or loaded once per digest, by whichever worker came
 * first.
 */
export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #building = new SharedWork<ReadyImage>();
  /** When each was last asked for here, by its name; in milliseconds since 1970. */
  readonly #used = new Map<string, number>();
  /** Images as they were when they were looked for last, by their references. */
  readonly #seen = new Map<string, ReadyImage>();
  /** Those that runs have opened: they stay. */
  readonly #opened = new Holds();
  /** Those that orders were prepared with: they stay as long as there is room for them. */
  readonly #needed = new Holds();

  /** Whether the daemon has room for more. */
  readonly room: DaemonRoom;
  #look: 'due' | 'done' = 'due';

  constructor(options: ImageStoreOptions) {
    this.#options = options;
    const { daemon, release, log } = options;
    const isHeld = (name: string) => this.#opened.has(name) || this.#needed.has(name);
    const evict = async (share: number) => {
      await release();
      return await evictImages({ ...this.#collecting, isHeld }, share);
    };
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
      const image = await this.#ready(context, options, onBuild);
      this.#see(referenceTo(context), image);
      return { reference: referenceTo(context), cached: !built, runner: image.runner, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** See `ContainerRuntime.load`. */
  async load({ digest, fetch }: RegistryImage, options: PrepareOptions): Promise<PreparedImage> {
    const { signal } = options;
    const name = loadedImageName(digest);
    let cached = true;
    const make = async () => {
      const there = await this.#findLoaded(name, signal);
      if (there !== undefined) return there;
      cached = false;
      using image = await fetch(signal);
      this.#look = 'due';
      await this.room.use(async () => await loadImage(this.#options.daemon, name, image, signal));
      this.#used.set(name, Date.now());
      this.#collectSoon();
      return demandThere(await this.#findLoaded(name, signal));
    };
    const release = this.#needed.hold(name);
    try {
      const loaded = await this.#building.run(name, signal, make);
      this.#see(name, loaded);
      this.#used.set(name, Date.now());
      return { reference: name, cached, runner: loaded.runner, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * The image of a prepared reference, built again should somebody have removed it since; one of a registry is
   * `unavailable` then. It stays until it is disposed, as far as this process is concerned.
   */
  async open(prepared: PreparedImage, signal: AbortSignal): Promise<ReadyImage & Disposable> {
    const { reference } = prepared;
    const isLoaded = reference.startsWith(`${LOADED_IMAGES}/`);
    const release = this.#opened.hold(isLoaded ? reference : imageName(contextOf(prepared, 'docker').digest));
    try {
      const image = isLoaded
        ? demandThere(await this.#findLoaded(reference, signal))
        : await this.#ready(contextOf(prepared, 'docker'), { signal, onOutput: async () => undefined });
      this.#see(reference, image);
      return { ...image, [Symbol.dispose]: release };
    } catch (error) {
      this.#seen.delete(reference);
      release();
      throw error;
    }
  }

  /** An image as it was when it was looked for last; nobody says that it is still there. */
  recall({ reference }: PreparedImage): ReadyImage | undefined {
    return this.#seen.get(reference);
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

  #see(reference: string, image: ReadyImage): void {
    this.#seen.delete(reference);
    this.#seen.set(reference, image);
    for (const [oldest] of this.#seen) if (this.#seen.size > SEEN) this.#seen.delete(oldest);
  }

  get #collecting(): CollectImagesOptions {
    const { daemon, cacheBytes, log } = this.#options;
    // An image of a context that goes before its run is built again; one of a registry is not there to be had again.
    const isHeld = (name: string) =>
      this.#opened.has(name) || (name.startsWith(`${LOADED_IMAGES}/`) && this.#needed.has(name));
    return { daemon, cacheBytes, lastUsed: this.#used, isHeld, log };
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
    const { daemon } = this.#options;
    const builds = { ...this.#options.builds, hasRoom: async () => await this.room.isThere() };
    const bytes = Buffer.from(AGAIN);
    const onAgain = async () => await options.onOutput({ stream: 'stdout', bytes });
    this.#look = 'due';
    await this.room.use(async () => await buildImage(daemon, context, builds, options), onAgain);
    const image = demandThere(await this.#find(context.digest, options.signal));
    this.#collectSoon();
    return image;
  }

  #collectSoon(): void {
    const { log } = this.#options;
    this.collect().catch((error: unknown) => log.warn({ error }, 'Unused images could not be removed'));
  }

  async #find(digest: string, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const name = imageName(digest);
    const image = await this.#options.daemon.inspectImage(name, { signal });
    if (image === undefined) return undefined;
    const { Id, Config } = inspected.parse(image);
    const declared = Config.Labels?.[LABELS.volumes];
    // It was built by an earlier version, which did not check what this one does: it is built again.
    if (declared === undefined) return undefined;
    return {
      ...readyOf(Config),
      name,
      id: Id,
      from: 'archive',
      command: [],
      volumes: volumes.parse(JSON.parse(declared)),
    };
  }

  async #findLoaded(name: string, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const image = await this.#options.daemon.inspectImage(name, { signal });
    if (image === undefined) return undefined;
    const { Id, Config } = inspected.parse(image);
    const { Cmd, Volumes } = Config;
    return {
      ...readyOf(Config),
      name: Id,
      id: Id,
      from: 'registry',
      command: Cmd ?? [],
      volumes: volumesOf(Volumes),
    };
  }
}

function readyOf({ Entrypoint, Env, WorkingDir, Labels }: z.infer<typeof inspected>['Config']) {
  return {
    entryPoint: Entrypoint ?? [],
    searchPath: (Env ?? []).find((text) => text.startsWith('PATH='))?.slice('PATH='.length) ?? '',
    workingFolder: WorkingDir || '/',
    runner: runnerOf(Labels),
    variables: (Env ?? []).flatMap((text) => /^([^=]+)=/.exec(text)?.[1] ?? []),
  };
}

function demandThere(image: ReadyImage | undefined): ReadyImage {
  if (image !== undefined) return image;
  const message = 'An image that was made is gone already; it is made anew next time.';
  throw new PlatformError('unavailable', message);
}
