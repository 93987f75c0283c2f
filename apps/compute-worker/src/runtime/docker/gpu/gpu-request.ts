import { PlatformError } from '@morpheo/common';
import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import { z } from 'zod';
import type { Gpu } from '../../index.ts';
import type { DaemonAnswer } from '../client/errors.ts';

/** What a daemon says of GPUs in `/info`. */
export interface GpuFacts {
  /** It has the runtime of NVIDIA's container toolkit, which alone can hand over GPUs in its CDI mode. */
  readonly hasNvidiaRuntime: boolean;
  /** The names of the NVIDIA GPUs that it hands over by itself by CDI, such as `nvidia.com/gpu=0` (Engine 28.2). */
  readonly cdiNames: readonly string[];
}

/** The part of `/info` that {@link GpuFacts} are made of, read so that whatever else stands there does no harm. */
export const gpuInfo = z
  .object({
    Runtimes: z.record(z.string(), z.unknown()).catch({}),
    DiscoveredDevices: z.array(z.looseObject({ ID: z.string().catch('') })).catch([]),
  })
  .transform(
    ({ Runtimes, DiscoveredDevices }): GpuFacts => ({
      hasNvidiaRuntime: 'nvidia' in Runtimes,
      cdiNames: DiscoveredDevices.map(({ ID }) => ID).filter((name) => name.startsWith(CDI_KIND)),
    }),
  );

/** What a container is created with so that it has exactly the GPUs that it should. */
export interface GpuRequest {
  readonly host: Required<Pick<HostConfig, 'Runtime'>> & Pick<HostConfig, 'DeviceRequests'>;
  /** To stand before any other variables of the container: an image's own of these names do not count then. */
  readonly environment: NonNullable<ContainerCreateOptions['Env']>;
}

const CDI_KIND = 'nvidia.com/gpu=';

/**
 * Without GPUs the runtime is named all the same: where the daemon's default is NVIDIA's, an image with
 * `NVIDIA_VISIBLE_DEVICES=all` (those of CUDA have it) would get every GPU.
 */
const NO_GPUS: GpuRequest = { host: { Runtime: 'runc' }, environment: ['NVIDIA_VISIBLE_DEVICES=void'] };

/** What images may ask the toolkit for beside GPUs: devices of the host that were not leased to anybody. */
const NOTHING_ELSE = ['GDS', 'MOFED', 'NVSWITCH', 'GDRCOPY'].map((name) => `NVIDIA_${name}=disabled`);

/**
 * The request for GPUs by their ids (those of `ContainerRuntime.gpus`): none where there are none, or `all` that the
 * daemon has. It goes by ids, never by count: the daemon allocates nothing, a count is always its first GPUs.
 */
export function gpuRequest(gpus: readonly string[] | 'all' | undefined, facts: GpuFacts): GpuRequest {
  if (gpus === undefined || gpus.length === 0) return NO_GPUS;
  const ids = gpus === 'all' ? ['all'] : [...gpus];
  const environment = [
    `NVIDIA_VISIBLE_DEVICES=${ids.join(',')}`,
    'NVIDIA_DRIVER_CAPABILITIES=compute,utility',
    ...NOTHING_ELSE,
  ];
  if (!facts.hasNvidiaRuntime && facts.cdiNames.length > 0) {
    const names = ids.map((id) => `${CDI_KIND}${id}`);
    return { host: { Runtime: 'runc', DeviceRequests: [{ Driver: 'cdi', DeviceIDs: names }] }, environment };
  }
  const which = gpus === 'all' ? { Count: -1 } : { DeviceIDs: ids };
  const request = { Driver: 'nvidia', ...which, Capabilities: [['gpu', 'compute', 'utility']] };
  const Runtime = facts.hasNvidiaRuntime ? 'nvidia' : 'runc';
  return { host: { Runtime, DeviceRequests: [request] }, environment };
}

/** What a GPU is asked for by: its UUID, which stays, unless the daemon's own devices have its index alone. */
export function gpuId({ id, index }: Gpu, { hasNvidiaRuntime, cdiNames }: GpuFacts): string {
  const knowsIndexAlone = !cdiNames.includes(`${CDI_KIND}${id}`) && cdiNames.includes(`${CDI_KIND}${index}`);
  return !hasNvidiaRuntime && knowsIndexAlone ? String(index) : id;
}

/**
 * The error of a container that was not started though its image is well, and that asks for GPUs. By its texts nobody
 * can tell, since they are other ones in every version of the daemon; so each such failure is taken for one of GPUs.
 */
export function gpuFailure(answer: DaemonAnswer, gpus: readonly string[]): PlatformError {
  const which = gpus.length === 1 ? `GPU ${gpus[0]}` : `GPUs ${gpus.join(', ')}`;
  const remedy =
    "See that the driver and NVIDIA's container toolkit work there, or start the worker with --gpus none.";
  return new PlatformError(
    'unavailable',
    `The Docker daemon did not hand over ${which}: ${answer.said.slice(0, 500)}. ${remedy}`,
    { cause: answer },
  );
}
