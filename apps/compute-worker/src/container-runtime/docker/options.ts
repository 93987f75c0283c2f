import type { Log } from '@morpheo/service/log';
import type { ContainerUser } from './data.ts';
import type { DataChoice } from './transports.ts';

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
  /** How data gets into containers; `auto` where absent: shared where the daemon sees the worker's folder. */
  readonly data?: DataChoice | undefined;
  /** What the images of archives may take in the daemon, in bytes; 20 GiB where absent. */
  readonly imageCacheBytes?: number | undefined;
  /** Of the RUN lines of a build, in bytes; 4 GiB where absent. */
  readonly buildMemoryBytes?: number | undefined;
  /** What a build may print, in bytes; 64 MiB where absent. */
  readonly buildOutputBytes?: number | undefined;
  /** The image of the container that looks for GPUs, which must be there; `debian:bookworm-slim` where absent. */
  readonly gpuProbeImage?: string | undefined;
  /** How long a run outlives the daemon being away, in milliseconds; 30,000 where absent. */
  readonly reconnectMs?: number | undefined;
  /** The uid and gid of the worker; where it is root, containers have 65534. */
  readonly user: ContainerUser;
  readonly log: Log;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** What is used where {@link DockerRuntimeOptions} say nothing; times in milliseconds. */
export const DEFAULTS = {
  timeoutMs: 15 * 60_000,
  imageCacheBytes: 20 * GIB,
  buildMemoryBytes: 4 * GIB,
  buildOutputBytes: 64 * MIB,
  reconnectMs: 30_000,
  gpuProbeImage: 'debian:bookworm-slim',
};
