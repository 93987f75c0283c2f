import { MOST_GPUS, sleep } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime, Gpu } from '../runtime/index.ts';
import type { GpuAllocator } from './allocator.ts';
import type { GpuChoice } from './settings.ts';

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
    do await sleep(everyMs, stop.signal);
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

/** What {@link findGpus} works with. */
export interface FindGpus {
  readonly runtime: Pick<ContainerRuntime, 'name' | 'gpus'>;
  readonly choice: GpuChoice;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** How long the runtime may look, in milliseconds; a minute where absent. */
  readonly withinMs?: number;
}

/**
 * The GPUs that a worker may lease to orders, by index. A runtime that cannot say, for whatever reason, has none:
 * a line of the log tells why, and the worker runs the orders that ask for none.
 */
export async function findGpus({
  runtime,
  choice,
  log,
  signal,
  withinMs = 60_000,
}: FindGpus): Promise<readonly Gpu[]> {
  if (choice === 'none') return [];
  const insist = choice !== 'auto';
  if (runtime.gpus === undefined) {
    if (insist) log.warn({ runtime: runtime.name }, 'This runtime has no GPUs to lease: the worker has none');
    return [];
  }
  try {
    const bounds = [AbortSignal.timeout(withinMs), ...(signal === undefined ? [] : [signal])];
    const found = await runtime.gpus({ insist, signal: AbortSignal.any(bounds) });
    const chosen = typeof choice === 'string' ? found : choose(found, choice, log);
    const gpus = chosen.toSorted((a, b) => a.index - b.index).slice(0, MOST_GPUS);
    if (gpus.length > 0) log.info({ gpus: gpus.map(describeGpu) }, 'The GPUs that this worker leases');
    else if (insist) log.warn({}, 'No GPU was found: the worker has none until it is started again');
    return gpus;
  } catch (error) {
    log.warn({ error }, 'GPUs cannot be found: the worker has none until it is started again');
    return [];
  }
}

/** A GPU in a few words. */
export function describeGpu({ index, id, name }: Gpu): string {
  return `${index}: ${name} (${id})`;
}

function choose(found: readonly Gpu[], names: readonly string[], log: Log): readonly Gpu[] {
  const missing = names.filter((name) => !found.some((gpu) => isNamed(gpu, name)));
  if (missing.length > 0) {
    log.error(
      { missing, found: found.map(describeGpu) },
      'GPUs that are asked for (--gpus, or devices of a sheep) are not there',
    );
  }
  return found.filter((gpu) => names.some((name) => isNamed(gpu, name)));
}

function isNamed(gpu: Gpu, name: string): boolean {
  return gpu.id === name || String(gpu.index) === name;
}
