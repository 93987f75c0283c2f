import { openDockerRuntime } from '@morpheo/compute-worker/docker';
import type { Log } from '@morpheo/service/log';
import { allowedImagesList, Registries } from '@morpheo/service/registry';
import type { ShepherdFile } from '@morpheo/service/shepherd';
import type { PlatformOptions } from '../platform.ts';

/** How the Docker daemon is reached that runs sheep. */
export interface DockerPlace {
  readonly dockerHost: string;
  readonly dockerCertPath: string | undefined;
}

/** More than there are sheep: what a job is brought and what it left is moved while another has the sheep. */
const JOBS_PER_SHEEP = 4;
const FEWEST_JOBS = 4;
const GIB = 1024 ** 3;
const IMAGES = { bytes: 20 * GIB, wallMs: 30 * 60_000 };

/**
 * What a platform of one process needs for the sheep of a configuration: Docker where one of them runs images, the
 * registry, and room for jobs.
 */
export function partsOf(
  file: ShepherdFile,
  { dockerHost, dockerCertPath }: DockerPlace,
  log: Log,
): Pick<PlatformOptions, 'openRuntime' | 'slots' | 'worker'> {
  const job = Math.max(FEWEST_JOBS, file.sheep.length * JOBS_PER_SHEEP);
  const isInDocker = file.sheep.some(({ type }) => type === 'docker');
  const gpus = file.sheep.flatMap((sheep) => sheep.gpus).map(String);
  return {
    slots: { learn: 1, predict: 1, job },
    worker: {
      images: { registries: registriesOf(file), ...IMAGES },
      // Such as are not there are told in the log.
      ...(gpus.length > 0 && { gpus: [...new Set(gpus)] }),
    },
    ...(isInDocker && {
      openRuntime: async (folder: string, worker: string) =>
        await openDockerRuntime({
          ...{ worker, folder, log, host: dockerHost, certificates: dockerCertPath },
          user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
        }),
    }),
  };
}

function registriesOf({ registry }: ShepherdFile): Registries {
  if (registry === undefined) return new Registries({ allowed: [] });
  const { credentials } = registry;
  const host = new URL(registry.url).host;
  return new Registries({
    allowed: allowedImagesList.parse(registry.url),
    credentials: () =>
      new Map(
        credentials === undefined
          ? []
          : [[host, { username: credentials.username, password: credentials.password.reveal() }]],
      ),
  });
}
