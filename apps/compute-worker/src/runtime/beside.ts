import { posix } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { type LivingFile, livingTree } from '../files/living-tree.ts';
import type { LiveRun, Mount, RunOptions, RunSpec } from './index.ts';
import type { RunState } from './run-state.ts';

/** Reads what a run has written: in a mount of it, at a path that is relative to that, what {@link LiveRun.read} gives. */
export type ReadMount = (mount: Mount, path: string) => AsyncIterable<LivingFile>;

/** What lies in the folder that a mount is, where runs write to it at once. */
export const readHost: ReadMount = ({ host }, path) => livingTree(host, path);

/** What the caller of a run does beside it: begun with the run, and ended when nothing of that is left. */
export class Beside implements LiveRun {
  readonly #mounts: readonly Mount[];
  readonly #read: ReadMount;
  readonly #over = new AbortController();
  readonly #doing: Promise<void>;
  exitCode: number | undefined;

  constructor(
    { mounts }: Pick<RunSpec, 'mounts'>,
    { beside }: RunOptions,
    { read, state }: { readonly read: ReadMount; readonly state: Pick<RunState, 'fail'> },
  ) {
    this.#mounts = mounts.toSorted((a, b) => b.container.length - a.container.length);
    this.#read = read;
    this.#doing = beside?.(this).catch((error: unknown) => state.fail(error)) ?? Promise.resolve();
  }

  get over(): AbortSignal {
    return this.#over.signal;
  }

  read(path: string): AsyncIterable<LivingFile> {
    const mount = this.#mounts.find(({ container }) => `${path}/`.startsWith(`${container}/`));
    if (mount === undefined || mount.readOnly)
      throw new PlatformError('internal', `The run writes to no mount at ${path}.`);
    return this.#read(mount, posix.relative(mount.container, path));
  }

  /** Tells that nothing of the run is left, and how it ended where that is known; waits for what still goes on. */
  async end(exitCode?: number): Promise<void> {
    this.exitCode ??= exitCode;
    this.#over.abort();
    await this.#doing;
  }
}

/** Resolves when nothing of a run is left. */
export async function untilOver({ over }: LiveRun): Promise<void> {
  if (over.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  over.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
