import { defineSettings } from '@morpheo/service/config';
import { z } from 'zod';

/**
 * Which GPUs a worker leases to orders. `auto`: those that the runtime finds where it has signs of any; `all`: as well,
 * yet it looks without any sign, and that it finds none is an error worth a line; `none`; or a list of names, each the
 * index or the UUID that `nvidia-smi` shows.
 */
export type GpuChoice = 'auto' | 'all' | 'none' | readonly string[];

const WORDS = ['auto', 'all', 'none'] as const;
const NAME = /^(?:\d{1,3}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,100})$/;

/** A {@link GpuChoice} as a setting has it: a word, or names with commas between. */
export const gpuChoice = z.string().transform((text, context): GpuChoice => {
  const word = WORDS.find((one) => one === text.trim());
  if (word !== undefined) return word;
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => NAME.test(name))) return [...new Set(names)];
  const message = 'should be auto, all, none, or indexes or UUIDs of GPUs with commas between, such as 0,1';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

/** The settings of GPUs. */
export const gpuSettings = defineSettings({
  gpus: {
    flag: 'gpus',
    env: 'MORPHEO_WORKER_GPUS',
    schema: gpuChoice,
    default: 'auto',
    help: 'The GPUs that orders may have. auto: those that the runtime names. all: it looks for them, named or not. none. Or indexes and UUIDs, such as 0,1.',
  },
  gpuSlots: {
    flag: 'gpu-slots',
    env: 'MORPHEO_WORKER_GPU_SLOTS',
    schema: z.coerce.number().int().min(1).max(1000),
    default: 1,
    help: 'How many orders may share a GPU. Nothing keeps one of them from taking all of its memory.',
  },
  gpuProbeImage: {
    flag: 'gpu-probe-image',
    env: 'MORPHEO_WORKER_GPU_PROBE_IMAGE',
    schema: z.string().min(1),
    default: 'debian:bookworm-slim',
    help: 'The image that the docker runtime looks for GPUs with; it must be there, with glibc, and needs no CUDA.',
  },
});
