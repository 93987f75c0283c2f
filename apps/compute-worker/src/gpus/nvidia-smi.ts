import { PlatformError } from '@morpheo/common';
import type { Gpu } from '../runtime/index.ts';

/** The command that lists the GPUs; its output is what {@link readGpus} reads. */
export const LIST_GPUS = [
  'nvidia-smi',
  '--query-gpu=index,uuid,name,memory.total',
  '--format=csv,noheader',
] as const;

const MIB = 1024 ** 2;
/** Index, UUID, name, and the memory in MiB or a word where the GPU has none of its own. */
const LINE = /^(\d{1,3}), ([A-Z]{3}-[0-9A-Za-z/-]{1,100}), (.{1,200}), (?:(\d{1,9}) MiB|\[.*\])$/;

/**
 * Reads what {@link LIST_GPUS} prints, a GPU a line. Throws `unavailable` for anything else (it prints its complaints
 * to stdout as well), and where one is named twice.
 */
export function readGpus(text: string): Gpu[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const gpus = lines.map((line): Gpu => {
    const [, index, id, name, memory] = LINE.exec(line.trim()) ?? [];
    if (index === undefined || id === undefined || name === undefined) {
      throw new PlatformError('unavailable', `nvidia-smi did not list GPUs: ${line.trim().slice(0, 200)}`);
    }
    return { index: Number(index), id, name, memoryBytes: Number(memory ?? 0) * MIB };
  });
  for (const key of ['index', 'id'] as const) {
    if (new Set(gpus.map((gpu) => gpu[key])).size === gpus.length) continue;
    throw new PlatformError('unavailable', `nvidia-smi listed GPUs of which two have the same ${key}.`);
  }
  return gpus;
}
