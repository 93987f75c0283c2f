import { defineSettings } from '@morpheo/service/config';
import { z } from 'zod';
import { gpuChoice } from './gpu-choice.ts';

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
