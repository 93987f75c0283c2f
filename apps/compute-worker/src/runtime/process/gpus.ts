import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errnoOf, PlatformError } from '@morpheo/common';
import { LIST_GPUS, readGpus } from '../../gpus/nvidia-smi.ts';
import type { FindGpusOptions, Gpu } from '../index.ts';

/** The GPUs of this machine, as its driver's program lists them; see `ContainerRuntime.gpus`. */
export async function findHostGpus(
  { signal, insist }: FindGpusOptions,
  program: string = LIST_GPUS[0],
): Promise<readonly Gpu[]> {
  const [, ...args] = LIST_GPUS;
  try {
    const { stdout } = await promisify(execFile)(program, args, { signal, maxBuffer: 64 * 1024 });
    return readGpus(stdout);
  } catch (error) {
    const isMissing = errnoOf(error) === 'ENOENT';
    if (isMissing && !insist) return [];
    if (error instanceof PlatformError) throw error;
    const why = isMissing ? 'there is no nvidia-smi on this machine' : 'nvidia-smi failed on this machine';
    throw new PlatformError('unavailable', `GPUs cannot be listed: ${why}.`, { cause: error });
  }
}

/**
 * The variables by which programs find their GPUs. Nothing but the libraries of the driver heeds them: a process that
 * takes no notice sees every GPU of the machine.
 */
export function gpuVariables(gpus: readonly string[]): Record<string, string> {
  const ids = gpus.join(',');
  return {
    CUDA_VISIBLE_DEVICES: ids,
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    NVIDIA_VISIBLE_DEVICES: ids === '' ? 'void' : ids,
  };
}
