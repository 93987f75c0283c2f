import { MOST_GPUS } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime, Gpu } from '../container-runtime/index.ts';
import type { GpuChoice } from './gpu-choice.ts';

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
    log.error({ missing, found: found.map(describeGpu) }, 'GPUs of the setting --gpus are not there');
  }
  return found.filter((gpu) => names.some((name) => isNamed(gpu, name)));
}

function isNamed(gpu: Gpu, name: string): boolean {
  return gpu.id === name || String(gpu.index) === name;
}
