import type { Gpu } from '../runtime/index.ts';

/** GPUs as a machine has them that has so many. */
export function someGpus(count: number): Gpu[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    id: `GPU-0000000${index}-fake`,
    name: 'NVIDIA Fake 9000',
    memoryBytes: 8 * 1024 ** 3,
  }));
}
