import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime } from '../runtime/index.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import type { WorkerConfig } from './config.ts';

/** Whose runtime is opened. */
export interface RuntimeOwner {
  /** The worker's UUID. */
  readonly worker: string;
  /** The worker's own folder. */
  readonly folder: string;
  readonly log: Log;
}

/** Opens the runtime that the settings name. Throws `invalid_request` where they cannot be followed. */
export async function openRuntime(
  config: WorkerConfig,
  { worker, folder, log }: RuntimeOwner,
): Promise<ContainerRuntime> {
  if (config.runtime !== 'docker')
    return await openProcessRuntime({
      ...{ folder, programs: config.programs, programVariables: config.programVariables, log },
    });
  // Loaded for those who use it: its client is the largest thing that a worker could load.
  const { openDockerRuntime } = await import('../runtime/docker/index.ts');
  return await openDockerRuntime({
    worker,
    folder,
    host: config.dockerHost,
    certificates: config.dockerCertPath,
    timeoutMs: config.dockerTimeout,
    data: config.dockerData,
    imageCacheBytes: config.imageCache,
    buildMemoryBytes: config.memory,
    buildDiskBytes: config.disk,
    buildProcesses: config.processes,
    buildCpus: config.cpus,
    gpuProbeImage: config.gpuProbeImage,
    spares: {
      most: config.spares,
      perImage: config.sparesPerImage,
      memoryBytes: config.spareMemory,
      idleMs: config.spareIdle,
    },
    user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    log,
  });
}
