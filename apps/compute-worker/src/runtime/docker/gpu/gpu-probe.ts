import { randomBytes } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { LIST_GPUS, readGpus } from '../../../gpus/nvidia-smi.ts';
import type { FindGpusOptions, Gpu, OutputChunk } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { readFrames } from '../client/frames.ts';
import { hardened } from '../hardening/hardening.ts';
import { LABELS, type Owner } from '../labels.ts';
import { type GpuFacts, gpuId, gpuRequest } from './gpu-request.ts';

/** What {@link findDockerGpus} works with. */
export interface GpuProbe {
  readonly daemon: Daemon;
  /** Any image with the C library that `nvidia-smi` needs; the program itself comes with the GPUs. */
  readonly image: string;
  /** `uid:gid` of the container's process. */
  readonly user: string;
  readonly owner: Owner;
}

const MIB = 1024 ** 2;
const MOST_OUTPUT = 64 * 1024;

/** The name of a container that looks for GPUs. */
export function gpuProbeName(): string {
  return `morpheo-gpus-${randomBytes(6).toString('hex')}`;
}

/**
 * Asks a container that is given all GPUs of the daemon which those are; see `ContainerRuntime.gpus`. A daemon that
 * names neither NVIDIA's runtime nor devices is asked only where one insists: older ones hand over GPUs all the same.
 */
export async function findDockerGpus(
  name: string,
  probe: GpuProbe,
  { signal, insist }: FindGpusOptions,
): Promise<readonly Gpu[]> {
  const { gpus: facts, cpus } = await probe.daemon.facts();
  if (!insist && !facts.hasNvidiaRuntime && facts.cdiNames.length === 0) return [];
  const container = new Container(probe.daemon, name);
  await using _removal = { [Symbol.asyncDispose]: async () => await container.remove() };
  await create(container, probe, facts, cpus);
  const printed = await run(container, signal);
  return readGpus(printed).map((gpu) => ({ ...gpu, id: gpuId(gpu, facts) }));
}

async function create(
  container: Container,
  { image, user, owner }: GpuProbe,
  facts: GpuFacts,
  machineCpus: number,
): Promise<void> {
  const memory = { memoryBytes: 512 * MIB, sharedBytes: MIB };
  const limits = { ...memory, fileBytes: MIB, processes: 64, cpus: undefined, machineCpus };
  const settings = hardened({ ...limits, user, rootBytes: undefined, otherVariables: [], imageVolumes: [] });
  const gpu = gpuRequest('all', facts);
  try {
    await container.create({
      ...settings,
      Image: image,
      Entrypoint: [...LIST_GPUS],
      Cmd: [],
      Env: [...gpu.environment, ...(settings.Env ?? [])],
      Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot },
      HostConfig: { ...settings.HostConfig, ...gpu.host },
    });
  } catch (error) {
    if (!isAnswer(error, 404)) throw error;
    const message = `To look for GPUs, Docker needs the image ${image}: bring it in, or name another with --gpu-probe-image.`;
    throw new PlatformError('unavailable', message, { cause: error });
  }
}

/** Runs the container to its end; returns what it printed on stdout, and throws where it failed. */
async function run(container: Container, signal: AbortSignal): Promise<string> {
  const stream = await container.attach();
  const stop = () => stream.destroy(new PlatformError('unavailable', 'The search for GPUs took too long.'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const { exit } = await container.wait('next-exit', signal);
    await container.start();
    const texts: Record<OutputChunk['stream'], string> = { stdout: '', stderr: '' };
    for await (const { stream: name, bytes } of readFrames(stream)) {
      texts[name] += Buffer.from(bytes).toString('utf8');
      if (texts[name].length > MOST_OUTPUT)
        throw new PlatformError('unavailable', 'nvidia-smi prints without end.');
    }
    const exitCode = await exit;
    if (exitCode === 0) return texts.stdout;
    const said = (texts.stderr || texts.stdout).trim().slice(0, 500);
    throw new PlatformError('unavailable', `nvidia-smi ended with exit code ${exitCode}: ${said}`);
  } finally {
    signal.removeEventListener('abort', stop);
    stream.destroy();
  }
}
