import { OrderFailure } from '@morpheo/common';
import type { ContainerCreateOptions } from 'dockerode';
import { buildFailure } from '../../dockerfile/failure.ts';
import { mountsOf, TMP } from '../../driver.ts';
import type { AnyRun, RunSpec } from '../../index.ts';
import type { Container } from '../client/container.ts';
import type { Daemon, DaemonFacts } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import type { ContainerUser, RunData } from '../data/transport.ts';
import { gpuRequest } from '../gpu/gpu-request.ts';
import { boundsOf, hardened, hardenedRunner } from '../hardening/hardening.ts';
import type { ReadyImage } from '../images/images.ts';
import type { Ahead } from './run.ts';

/** A run in a container that is to be made. */
export interface ContainerRun {
  readonly daemon: Daemon;
  readonly container: Container;
  readonly data: RunData;
  readonly spec: AnyRun;
  readonly image: ReadyImage;
  /** Where it was started ahead, and its program runs by now. */
  readonly ahead?: Ahead | undefined;
}

/** The program of a run, with its arguments. */
export function wordsOf(
  { entryPoint, command }: ReadyImage,
  { args = command }: Pick<RunSpec, 'args'>,
): readonly string[] {
  return [...entryPoint, ...args];
}

/** What of an answer of 400 is about what we ask for, and not about the image. */
const OF_THE_PLATFORM = /bind source|seccomp|runtime|device|storage-opt|cgroup|cpus|memory/i;

/** What the container of a run is created with: hardened, bounded, with its GPUs; all but its labels and its data. */
export function containerOptions(
  spec: Pick<AnyRun, 'args' | 'before' | 'environment' | 'limits' | 'gpus' | 'mounts' | 'writable'>,
  image: ReadyImage,
  user: ContainerUser,
  facts: DaemonFacts,
): ContainerCreateOptions {
  const { args = image.command, before = [], environment = {}, limits, gpus, writable } = spec;
  const gpu = gpuRequest(gpus, facts.gpus);
  // One below a mount is apart as well: left alone, it would be a folder on the disk of the daemon, which nobody bounds.
  const isApart = (path: string) => path !== TMP && !mountsOf(spec).some(({ container: at }) => at === path);
  const { HostConfig: host, ...settings } = (writable === undefined ? hardened : hardenedRunner)({
    user: `${user.uid}:${user.gid}`,
    ...boundsOf(limits, facts),
    otherVariables: [...image.variables, ...Object.keys(environment)],
    imageVolumes: image.volumes.filter(isApart),
  });
  return {
    ...settings,
    Image: image.name,
    Entrypoint: [...before, ...image.entryPoint],
    Cmd: [...args],
    Env: [
      ...gpu.environment,
      ...(settings.Env ?? []),
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ],
    HostConfig: { ...host, ...gpu.host },
  };
}

/**
 * Creates the container of a run. Throws `build_failed` where the daemon finds that the image says of itself what no
 * container can have.
 */
export async function createContainer(
  { daemon, container, data, spec, image }: ContainerRun,
  user: ContainerUser,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const { HostConfig: host = {}, ...settings } = containerOptions(spec, image, user, await daemon.facts());
  const HostConfig = { ...host, Mounts: [...(host.Mounts ?? []), ...data.mounts] };
  try {
    await container.create({ ...settings, Labels: { ...labels }, HostConfig });
  } catch (error) {
    if (!isAnswer(error, 400) || OF_THE_PLATFORM.test(error.said)) throw error;
    if (image.from === 'registry') {
      const message =
        wordsOf(image, spec).length === 0
          ? 'The image names no program, and the order gives no command.'
          : 'Docker makes no container of the image: what its configuration says is not valid.';
      throw new OrderFailure('image_invalid', { message }, error);
    }
    const why = 'what the Dockerfile, or its base image, says of the image is not valid';
    throw buildFailure(`Docker makes no container of the image: ${why}.`, undefined, error);
  }
}
