import { lstat } from 'node:fs/promises';
import { posix } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { isOfTheMachine } from './dockerfile/plan/declarations.ts';
import type { AnyRun, BuildContext, ContainerRuntime, Mount, PreparedImage } from './index.ts';

/**
 * What every run has in its environment unless its image says otherwise. Python keeps what it prints to a pipe until 8
 * KiB have gathered: of a program that is killed, for its time or its memory, all of that would be lost.
 */
export const RUN_ENVIRONMENT: Readonly<Record<string, string>> = { PYTHONUNBUFFERED: '1' };

/** What a runtime has under way: closing it aborts all of that, and waits for its end. */
export class WorkUnderWay {
  readonly #work = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  /** Does work whose signal aborts with the one given, or when this is closed. Rejects at once where that is so now. */
  async do<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const both = AbortSignal.any([signal, this.#closing.signal]);
    both.throwIfAborted();
    const running = work(both);
    this.#work.add(running);
    try {
      return await running;
    } finally {
      this.#work.delete(running);
    }
  }

  /** Throws `unavailable` once it is closed. */
  demandOpen(): void {
    this.#closing.signal.throwIfAborted();
  }

  /** Aborts all work with `unavailable`; doing it twice is harmless. */
  async close(runtime: ContainerRuntime['name']): Promise<void> {
    this.#closing.abort(new PlatformError('unavailable', `The ${runtime} runtime was closed.`));
    await Promise.allSettled(this.#work);
  }
}

/** Does work when first asked, and gives the same result from then on; a failure is not remembered. */
export function remembered<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return async () => {
    result ??= work();
    const current = result;
    try {
      return await current;
    } catch (error) {
      if (result === current) result = undefined;
      throw error;
    }
  };
}

/** What a prepared image is known by, for a runtime that reads the context again. */
export function referenceTo({ digest, folder }: BuildContext): string {
  return `${digest}:${folder}`;
}

/** The context of {@link referenceTo}. Throws `internal`, the caller being wrong, for any other reference. */
export function contextOf({ reference }: PreparedImage, runtime: ContainerRuntime['name']): BuildContext {
  const [, digest, folder] = /^([^:]*):(.*)$/s.exec(reference) ?? [];
  if (digest !== undefined && folder !== undefined) return { digest, folder };
  throw new PlatformError('internal', `The image was not prepared by the ${runtime} runtime.`);
}

/** Names of variables that runtimes set by themselves: which GPUs a run sees, and what it is found by. */
const OF_A_RUNTIME = /^(?:NVIDIA_.*|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|MORPHEO_RUN)$/;

/** Whether a run may be given a variable of this name. */
export function isOwnVariable(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !OF_A_RUNTIME.test(name);
}

/** Whether something of a run may be mounted at this path: a plain absolute one that no container needs for itself. */
export function isOwnPath(path: string): boolean {
  const isPlain = posix.isAbsolute(path) && posix.resolve(path) === path && !/[\p{Cc}:]/u.test(path);
  return isPlain && path !== TMP && !isOfTheMachine(path);
}

/** Where programs find a place for temporary files. */
export const TMP = '/tmp';
/** Where a runner has its home. */
export const RUNNER_HOME = '/home/runner';

/** All that stands at paths of a run: its mounts, and the places to write to of a runner. */
export function mountsOf({ mounts, writable }: Pick<AnyRun, 'mounts' | 'writable'>): readonly Mount[] {
  if (writable === undefined) return mounts;
  const places = { [TMP]: writable.tmp, '/dev/shm': writable.sharedMemory, [RUNNER_HOME]: writable.home };
  const own = Object.entries(places).map(([container, host]) => ({ host, container, readOnly: false }));
  return [...mounts, ...own];
}

/** Rejects with `internal`, the caller being wrong, where a run is a runner and this runtime has none. */
export function demandNoRunner({ writable }: Pick<AnyRun, 'writable'>, why: string): void {
  if (writable !== undefined) throw new PlatformError('internal', `No runner can run here: ${why}.`);
}

/** Rejects with `internal`, the caller being wrong, unless what a run brings is there, and may be given to it. */
export async function demandRunnable(
  run: Pick<AnyRun, 'mounts' | 'environment' | 'writable'>,
): Promise<void> {
  const { mounts, environment = {} } = run;
  const wrong = (message: string) => new PlatformError('internal', message);
  for (const [name, value] of Object.entries(environment)) {
    if (!isOwnVariable(name) || value.includes('\0')) throw wrong(`A run cannot have the variable ${name}.`);
  }
  const taken = mounts.find(({ container }) => !isOwnPath(container));
  if (taken !== undefined) throw wrong(`Nothing of a run can be mounted at ${taken.container}.`);
  for (const { host, container, readOnly } of mountsOf(run)) {
    const stats = await lstat(host).catch(() => undefined);
    if (stats?.isDirectory() === true || (readOnly && stats?.isFile() === true)) continue;
    throw wrong(`What is to be mounted at ${container} is not there, or no folder: ${host}.`);
  }
}
