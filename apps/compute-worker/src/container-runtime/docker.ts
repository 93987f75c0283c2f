import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { DEFAULT_ADDRESS, readAddress, readCertificates } from './docker/address.ts';
import { Container } from './docker/container.ts';
import { Daemon } from './docker/daemon.ts';
import type { ContainerUser } from './docker/data.ts';
import { findDockerGpus, gpuProbeName } from './docker/gpu-probe.ts';
import { gpuRequest } from './docker/gpu-request.ts';
import { hardened } from './docker/hardening.ts';
import { ImageStore, type ReadyImage } from './docker/images.ts';
import { labelsOf, nameFor, type Owner } from './docker/labels.ts';
import { runContainer } from './docker/run.ts';
import { sweep } from './docker/sweep.ts';
import { type DataChoice, Transports } from './docker/transports.ts';
import type {
  BuildContext,
  ContainerRuntime,
  FindGpusOptions,
  Gpu,
  PreparedImage,
  PrepareOptions,
  RunOptions,
  RunResult,
  RunSpec,
} from './index.ts';

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
const DEFAULTS = {
  timeoutMs: 15 * 60_000,
  imageCacheBytes: 20 * GIB,
  reconnectMs: 30_000,
  gpuProbeImage: 'debian:bookworm-slim',
};
const CALL_MS = 60_000;
const SWEEP_MS = 60_000;
const PROCESSES = 256;
const NOBODY: ContainerUser = { uid: 65_534, gid: 65_534 };
/** A file may be so much larger than a run's disk that the watch sees it is over: a bound alone kills nothing. */
const FILE_MARGIN = 64 * MIB;

/**
 * Opens the runtime that runs containers in a Docker daemon, bounded and isolated as `docker/hardening.ts` says. The
 * daemon need not be there yet: `ping` tells, and what an earlier process of the worker left is removed as soon as
 * it answers. Throws `invalid_request` for an address or certificates that cannot be read.
 */
export async function openDockerRuntime(options: DockerRuntimeOptions): Promise<ContainerRuntime> {
  const { host = DEFAULT_ADDRESS, certificates: folder, timeoutMs = DEFAULTS.timeoutMs, log } = options;
  const address = readAddress(host, folder !== undefined);
  const isRemote = address.kind === 'tcp';
  const certificates = isRemote && folder !== undefined ? await readCertificates(folder) : undefined;
  if (isRemote && certificates === undefined) {
    log.warn(
      { host },
      'Docker is spoken to without TLS: whoever reaches that address, or listens on the way, has its machine',
    );
  }
  const daemon = new Daemon({ address, certificates, callMs: Math.min(timeoutMs, CALL_MS) });
  return new DockerRuntime(daemon, options);
}

class DockerRuntime implements ContainerRuntime {
  readonly name = 'docker';
  readonly isolates = true;
  readonly #daemon: Daemon;
  readonly #options: DockerRuntimeOptions;
  readonly #owner: Owner;
  readonly #user: ContainerUser;
  readonly #images: ImageStore;
  readonly #transports: Transports;
  /** Names of the runs that go on; what they make in the daemon begins with them. */
  readonly #alive = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #sweeps: Loop | undefined;

  constructor(daemon: Daemon, options: DockerRuntimeOptions) {
    const { worker, folder, user, data = 'auto', log, timeoutMs = DEFAULTS.timeoutMs } = options;
    const {
      imageCacheBytes: cacheBytes = DEFAULTS.imageCacheBytes,
      buildMemoryBytes = 4 * GIB,
      buildOutputBytes = 64 * MIB,
    } = options;
    this.#daemon = daemon;
    this.#options = options;
    this.#owner = { worker, boot: randomUUID() };
    this.#user = user.uid === 0 ? NOBODY : user;
    const limits = { wallMs: timeoutMs, outputBytes: buildOutputBytes, memoryBytes: buildMemoryBytes };
    this.#images = new ImageStore({ daemon, limits, cacheBytes, log });
    const probe = { daemon, folder: join(folder, 'probe'), user: this.#user, owner: this.#owner };
    this.#transports = new Transports({ probe, choice: data, workerUid: user.uid, log });
  }

  async prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    const signal = this.#signal(options.signal);
    signal.throwIfAborted();
    return await this.#track(this.#images.prepare(context, { ...options, signal }));
  }

  async run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    return await this.#track(this.#run(spec, { ...options, signal: this.#signal(options.signal) }));
  }

  async recover(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#sweep('an earlier worker');
    } catch (error) {
      log.error({ error }, 'What an earlier worker left in Docker cannot be removed yet; it is tried again');
    }
    this.#sweeps ??= startLoop({
      name: 'sweep containers',
      everyMs: SWEEP_MS,
      work: async () => {
        await this.#sweep('a run');
        await this.#images.collect();
      },
      log,
    });
  }

  async gpus(options: FindGpusOptions): Promise<readonly Gpu[]> {
    const signal = this.#signal(options.signal);
    const { gpuProbeImage: image = DEFAULTS.gpuProbeImage } = this.#options;
    const probe = {
      daemon: this.#daemon,
      image,
      user: `${this.#user.uid}:${this.#user.gid}`,
      owner: this.#owner,
    };
    const name = gpuProbeName();
    this.#alive.add(name);
    try {
      return await this.#track(findDockerGpus(name, probe, { ...options, signal }));
    } finally {
      this.#alive.delete(name);
    }
  }

  async ping(signal?: AbortSignal): Promise<void> {
    this.#closing.signal.throwIfAborted();
    await this.#daemon.ping(signal);
    await this.#transports.choose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new PlatformError('unavailable', 'The docker runtime was closed.'));
    await this.#sweeps?.[Symbol.asyncDispose]();
    await Promise.allSettled(this.#running);
  }

  async #run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    const { signal } = options;
    signal.throwIfAborted();
    using image = await this.#images.open(spec.image, signal);
    const transport = await this.#transports.choose();
    const name = nameFor(spec.labels);
    const labels = labelsOf(this.#owner, spec.labels);
    this.#alive.add(name);
    try {
      await using data = await transport.open({ spec, name, labels, signal });
      const container = new Container(this.#daemon, name);
      await using _removal = { [Symbol.asyncDispose]: async () => await this.#remove(container) };
      const settings = await this.#settings(spec, image);
      const { Mounts = [] } = settings.HostConfig;
      const HostConfig = { ...settings.HostConfig, Mounts: [...Mounts, ...data.mounts] };
      await container.create({ ...settings, Labels: labels, HostConfig });
      const { reconnectMs = DEFAULTS.reconnectMs } = this.#options;
      const program = image.entryPoint[0] ?? '';
      const created = { daemon: this.#daemon, container, data, spec, program, reconnectMs };
      return await runContainer(created, options);
    } finally {
      this.#alive.delete(name);
    }
  }

  async #settings({ args, limits, gpus, mounts }: RunSpec, image: ReadyImage) {
    const { cpus: machineCpus, boundsRootFolder, gpus: gpuFacts } = await this.#daemon.facts();
    const gpu = gpuRequest(gpus, gpuFacts);
    const places = new Set(mounts.map((mount) => mount.container));
    const settings = hardened({
      user: `${this.#user.uid}:${this.#user.gid}`,
      memoryBytes: limits.memoryBytes,
      fileBytes: limits.diskBytes + FILE_MARGIN,
      cpus: limits.cpus,
      machineCpus,
      processes: limits.processes ?? PROCESSES,
      rootBytes: boundsRootFolder ? limits.diskBytes : undefined,
      imageVariables: image.variables,
      imageVolumes: image.volumes.filter((path) => !places.has(path)),
    });
    return {
      ...settings,
      Image: image.name,
      Entrypoint: [...image.entryPoint],
      Cmd: [...args],
      Env: [...gpu.environment, ...(settings.Env ?? [])],
      HostConfig: { ...settings.HostConfig, ...gpu.host },
    };
  }

  /** A container that cannot be removed now is left to a sweep: how the run ended is known all the same. */
  async #remove(container: Container): Promise<void> {
    try {
      await container.remove();
    } catch (error) {
      this.#options.log.warn({ error, container: container.name }, 'A container could not be removed yet');
    }
  }

  async #sweep(whose: string): Promise<void> {
    const isAlive = (name: string) => [...this.#alive].some((alive) => name.startsWith(alive));
    const swept = await sweep({ daemon: this.#daemon, worker: this.#owner.worker, isAlive });
    if (swept.containers + swept.volumes === 0) return;
    this.#options.log.warn({ ...swept }, `Removed from Docker what ${whose} had left`);
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  #signal(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }
}
