import { DEFAULT_LIMITS, DEFAULT_RUNNER_LIMITS } from '@morpheo/compute-worker';
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

/** What the parts are made with. */
export interface PartsAround {
  /** What programs of bare sheep find in their environment, but for what is the platform's. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
}

/** More than there are sheep: what a job is brought and what it left is moved while another has the sheep. */
const JOBS_PER_SHEEP = 8;
const FEWEST_JOBS = 16;
const GIB = 1024 ** 3;
const IMAGES = { bytes: 20 * GIB, wallMs: 30 * 60_000 };

/**
 * What a platform of one process needs for the sheep of a configuration: Docker where one of them runs images, the
 * registry, and room for jobs. Without a configuration, room alone.
 */
export function partsOf(
  file: ShepherdFile | undefined,
  { dockerHost, dockerCertPath }: DockerPlace,
  { env, log }: PartsAround,
): Pick<PlatformOptions, 'openRuntime' | 'slots' | 'worker'> {
  if (file === undefined) return { slots: { learn: 1, predict: 1, job: FEWEST_JOBS } };
  const job = Math.max(FEWEST_JOBS, file.sheep.length * JOBS_PER_SHEEP);
  const isInDocker = file.sheep.some(({ type }) => type === 'docker');
  const gpus = file.sheep.flatMap((sheep) => sheep.gpus).map(String);
  return {
    slots: { learn: 1, predict: 1, job },
    worker: {
      sheep: { sheep: file.sheep, environment: env },
      runners: { ...DEFAULT_RUNNER_LIMITS, ...roomFor(file.sheep.length) },
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

/** Each sheep keeps a model. */
function roomFor(sheep: number) {
  const most = Math.max(DEFAULT_RUNNER_LIMITS.most, sheep);
  return { most, memoryBytes: most * DEFAULT_LIMITS.run.memoryBytes };
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
