import type { Log } from '@morpheo/service/log';
import { pause } from '../abort.ts';
import type { ContainerRuntime } from '../container-runtime/index.ts';
import { findGpus } from './find-gpus.ts';
import type { GpuAllocator } from './gpu-allocator.ts';
import type { GpuChoice } from './gpu-choice.ts';

/** What {@link searchGpus} works with. */
export interface GpuSearch {
  readonly runtime: Pick<ContainerRuntime, 'name' | 'gpus' | 'ping'>;
  readonly choice: GpuChoice;
  /** Is given what is found. */
  readonly gpus: GpuAllocator;
  readonly log: Log;
  /** How often a runtime that does not answer is asked again, in milliseconds; 1,000 where absent. */
  readonly everyMs?: number;
}

/** A search that may still go on. */
export interface RunningSearch extends AsyncDisposable {
  /** Resolves when GPUs were found after the first look; never where that does not happen. */
  readonly late: Promise<void>;
}

/**
 * Finds the GPUs that a worker leases (see {@link findGpus}). A runtime that does not answer yet, since it is started
 * together with the worker, is asked in the background until it does; disposing the result ends that.
 */
export async function searchGpus(search: GpuSearch): Promise<RunningSearch> {
  const { runtime, choice, gpus, log, everyMs = 1000 } = search;
  const stop = new AbortController();
  const { promise: late, resolve: onLate } = Promise.withResolvers<void>();
  if (choice === 'none' || runtime.gpus === undefined || (await answers(runtime))) {
    gpus.add(await findGpus({ runtime, choice, log }));
    return { late, [Symbol.asyncDispose]: async () => undefined };
  }
  const searching = (async () => {
    do await pause(everyMs, stop.signal);
    while (!(await answers(runtime)));
    gpus.add(await findGpus({ runtime, choice, log, signal: stop.signal }));
    if (gpus.gpus.length > 0 && !stop.signal.aborted) onLate();
  })();
  searching.catch((error: unknown) => {
    if (!stop.signal.aborted) log.error({ error }, 'The search for GPUs broke off');
  });
  return {
    late,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await searching.catch(() => undefined);
    },
  };
}

async function answers(runtime: GpuSearch['runtime']): Promise<boolean> {
  try {
    await runtime.ping(AbortSignal.timeout(10_000));
    return true;
  } catch {
    return false;
  }
}
