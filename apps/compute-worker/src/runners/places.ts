import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, constants as fs, lstatSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { emptyLiving, moveOut, removeLiving } from '../files/remove-living.ts';
import type { Mount, WritablePlaces } from '../runtime/index.ts';

/** Where a runner finds the folders of its calls. */
const CALLS = '/calls';
const FOLDER = fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW;
/** No further call comes while so many removals wait: what calls leave is bounded on disk. */
const MOST_LEFT = 1000;
/** So many folders of calls are kept for other calls: to make one takes longer than all else that is done about it. */
const STOCK = 16;
/** What is in the folder of a call. */
const PARTS: ReadonlySet<string> = new Set(['inputs', 'outputs']);

/** What a program is told that it finds the folders of a call by, and where the worker has them. */
interface CallPaths {
  readonly inputs: string;
  readonly outputs: string;
}

/** What {@link RunnerPlaces} are made with. */
export interface PlacesOptions {
  /** See `DoorOptions`. */
  readonly hasHostPaths: boolean;
  /** Told where something cannot be removed. */
  readonly onFailure: (error: unknown) => void;
  /** Told when it is behind no more. */
  readonly onCaughtUp: () => void;
}

/**
 * The folders of one runner. What the worker fills, reads or removes lies where no program reaches it by a path: the folder
 * of a call is moved to the program when it is filled, and away from it when it is answered. Removals go on behind.
 */
export class RunnerPlaces {
  /** For what the plan of the runner prepares. */
  readonly prepared: string;
  /** For the door. */
  readonly door: string;
  /** For the runtime. */
  readonly scratch: string;
  readonly writable: WritablePlaces;
  readonly mount: Mount;
  /** Where no program reaches. */
  readonly #apart: string;
  readonly #apartFd: number;
  /** What the program writes to whatever call it has, open, so that their names are not needed. */
  readonly #shared: readonly number[];
  readonly #shown: string;
  readonly #options: PlacesOptions;
  /** Whether nobody but the worker can write to the inputs of a call, even who still holds the folder open. */
  readonly #isReusing: boolean;
  /** Folders for calls that come, by their names. */
  readonly #stock: string[] = [];
  /** The names of folders that no program had since, by their calls. */
  readonly #filling = new Map<string, string>();
  #removing: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** Makes the folders in an empty one. */
  constructor(folder: string, options: PlacesOptions) {
    const make = (name: string, mode = 0o700) => {
      const path = join(folder, name);
      mkdirSync(path);
      // Whatever the umask is.
      chmodSync(path, mode);
      return path;
    };
    this.prepared = make('prepared', 0o755);
    this.door = make('door', 0o755);
    this.scratch = make('scratch');
    this.writable = { tmp: make('tmp', 0o777), sharedMemory: make('shm', 0o777), home: make('home', 0o777) };
    const calls = make('calls', 0o755);
    this.mount = { host: calls, container: CALLS, readOnly: false };
    this.#apart = make('apart');
    this.#shown = options.hasHostPaths ? calls : CALLS;
    this.#options = options;
    const { tmp, sharedMemory, home } = this.writable;
    this.#apartFd = openSync(this.#apart, FOLDER);
    this.#isReusing = options.hasHostPaths || process.getuid?.() === 0;
    this.#shared = [calls, tmp, sharedMemory, home].map((path) => openSync(path, FOLDER));
  }

  /** Whether what calls have left waits in such numbers that there had better be no other. */
  get isBehind(): boolean {
    return this.#waiting >= MOST_LEFT;
  }

  /** The folder of a call; no program reaches it. */
  make(): { readonly id: string; readonly inputs: string } {
    const id = randomUUID();
    const name = this.#stock.pop() ?? this.#makeOne();
    this.#filling.set(id, name);
    return { id, inputs: join(this.#apart, name, 'inputs') };
  }

  /** Makes the folder of a call ahead. */
  makeAhead(): void {
    if (this.#stock.length === 0) this.#stock.push(this.#makeOne());
  }

  /** Hands the folder of a call to the program; returns the paths that it has there. */
  offer(id: string): CallPaths {
    renameSync(join(this.#apart, this.#filling.get(id) ?? id), join(this.mount.host, id));
    this.#filling.delete(id);
    return { inputs: join(this.#shown, id, 'inputs'), outputs: join(this.#shown, id, 'outputs') };
  }

  /**
   * Takes the folder of a call away from the program; returns that of its outputs, undefined where the program has put
   * something else in its place, or nothing.
   */
  takeBack(id: string): string | undefined {
    const folder = join(this.#apart, id);
    try {
      renameSync(join(this.mount.host, id), folder);
    } catch {
      return undefined;
    }
    const isFolder = lstatSync(folder).isDirectory();
    const outputs = join(folder, 'outputs');
    return isFolder && lstatSync(outputs, { throwIfNoEntry: false })?.isDirectory() === true
      ? outputs
      : undefined;
  }

  /** Removes behind what is in the folder of a call that the program does not have (any more). */
  remove(id: string): void {
    const name = this.#filling.get(id) ?? id;
    this.#filling.delete(id);
    this.#behind(async () => {
      const isEmpty =
        this.#isReusing && this.#stock.length < STOCK && (await emptyLiving(this.#apartFd, name, PARTS));
      if (isEmpty) this.#stock.push(name);
      else await removeLiving(this.#apartFd, name);
    });
  }

  /** Takes from the program whatever is in its places, while it has no call; it is removed behind. */
  async wipe(): Promise<void> {
    let moved: string | undefined;
    const into = () => {
      if (moved === undefined) {
        moved = randomUUID();
        mkdirSync(join(this.#apart, moved));
      }
      return join(this.#apart, moved);
    };
    try {
      for (const folder of this.#shared) await moveOut(folder, into);
    } finally {
      const name = moved;
      if (name !== undefined) this.#behind(async () => await removeLiving(this.#apartFd, name));
    }
  }

  /** Waits for the removals, and lets go of the folders; who made them removes them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#removing;
    for (const fd of [this.#apartFd, ...this.#shared]) closeSync(fd);
  }

  #makeOne(): string {
    const id = randomUUID();
    const folder = join(this.#apart, id);
    const make = (path: string, mode: number) => {
      mkdirSync(path);
      chmodSync(path, mode);
    };
    make(folder, 0o755);
    make(join(folder, 'inputs'), 0o755);
    make(join(folder, 'outputs'), 0o777);
    return id;
  }

  #behind(work: () => Promise<void>): void {
    this.#waiting += 1;
    this.#removing = this.#removing.then(work).catch((error: unknown) => {
      const message = 'What a call left could not be removed.';
      this.#options.onFailure(new PlatformError('internal', message, { cause: error }));
    });
    this.#removing = this.#removing.finally(() => {
      const wasBehind = this.isBehind;
      this.#waiting -= 1;
      if (wasBehind && !this.isBehind) this.#options.onCaughtUp();
    });
  }
}
