import type { Log } from '@morpheo/service/log';
import { DEFAULT_ADDRESS } from './client/address.ts';
import type { DataChoice } from './data/choose.ts';
import type { ContainerUser } from './data/transport.ts';
import type { SpareLimits } from './spares/pool.ts';

/** What to open the runtime with; what is absent has a default. */
export interface DockerRuntimeOptions {
  /** The worker's UUID: by it, the next process of the same worker finds what this one left. */
  readonly worker: string;
  /** The worker's own folder. */
  readonly folder: string;
  /** Where the daemon listens, as `DOCKER_HOST` has it; `unix:///var/run/docker.sock` where absent. */
  readonly host?: string | undefined;
  /** A folder with `ca.pem`, `cert.pem` and `key.pem`; the connection is TLS then. */
  readonly certificates?: string | undefined;
  /** How long a build, or a call, may take, in milliseconds; 15 minutes where absent. */
  readonly timeoutMs?: number | undefined;
  /** How long a build may take, in milliseconds; as `timeoutMs` where absent. */
  readonly buildMs?: number | undefined;
  /** How data gets into containers; `auto` where absent: shared where the daemon sees the worker's folder. */
  readonly data?: DataChoice | undefined;
  /** What the images of archives may take in the daemon, in bytes; 20 GiB where absent. */
  readonly imageCacheBytes?: number | undefined;
  /** Of each RUN line of a build, in bytes; 4 GiB where absent. */
  readonly buildMemoryBytes?: number | undefined;
  /** What an image may have on disk beside its base, in bytes; 10 GiB where absent. */
  readonly buildDiskBytes?: number | undefined;
  /** How many processes and threads a RUN line may have at a time; 256 where absent. */
  readonly buildProcesses?: number | undefined;
  /** How many processors a RUN line may keep busy; all where absent. */
  readonly buildCpus?: number | undefined;
  /** What a build may print, in bytes; 64 MiB where absent. */
  readonly buildOutputBytes?: number | undefined;
  /** The image of the container that looks for GPUs, which must be there; `debian:bookworm-slim` where absent. */
  readonly gpuProbeImage?: string | undefined;
  /** How long a run outlives the daemon being away, in milliseconds; 30,000 where absent. */
  readonly reconnectMs?: number | undefined;
  /** How many containers are started ahead of their runs; none where absent. */
  readonly spares?: SpareLimits | undefined;
  /** The uid and gid of the worker; where it is root, containers have 65534. */
  readonly user: ContainerUser;
  readonly log: Log;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const NO_SPARES: SpareLimits = { most: 0, perImage: 0, memoryBytes: 0, idleMs: 0 };

/** The options with their defaults. */
export type DockerSettings = ReturnType<typeof withDefaults>;

/** The options, each that is absent by its default. */
export function withDefaults({
  host = DEFAULT_ADDRESS,
  timeoutMs = 15 * 60_000,
  buildMs = timeoutMs,
  data = 'auto',
  imageCacheBytes = 20 * GIB,
  buildMemoryBytes = 4 * GIB,
  buildDiskBytes = 10 * GIB,
  buildProcesses,
  buildCpus,
  buildOutputBytes = 64 * MIB,
  gpuProbeImage = 'debian:bookworm-slim',
  reconnectMs = 30_000,
  spares = NO_SPARES,
  ...others
}: DockerRuntimeOptions) {
  const build = {
    wallMs: buildMs,
    outputBytes: buildOutputBytes,
    memoryBytes: buildMemoryBytes,
    diskBytes: buildDiskBytes,
    ...(buildProcesses === undefined ? {} : { processes: buildProcesses }),
    ...(buildCpus === undefined ? {} : { cpus: buildCpus }),
  };
  return { host, timeoutMs, data, imageCacheBytes, build, gpuProbeImage, reconnectMs, spares, ...others };
}
