import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import { DEFAULT_ADDRESS, readAddress, readCertificates } from './docker/address.ts';
import { adoptionLabels, findAdoptable } from './docker/adoption.ts';
import { Container } from './docker/container.ts';
import { Daemon } from './docker/daemon.ts';
import type { ContainerUser, RunData } from './docker/data.ts';
import { findDockerGpus, gpuProbeName } from './docker/gpu-probe.ts';
import { gpuRequest } from './docker/gpu-request.ts';
import { hardened } from './docker/hardening.ts';
import { ImageStore, type ReadyImage } from './docker/images.ts';
import {
  attemptKey,
  attemptOf,
  type InDaemon,
  isOfRun,
  labelsOf,
  nameFor,
  type Owner,
} from './docker/labels.ts';
import { DEFAULTS, type DockerRuntimeOptions } from './docker/options.ts';
import { type Begun, runContainer } from './docker/run.ts';
import { sweep } from './docker/sweep.ts';
import { Transports } from './docker/transports.ts';
import type {
  AdoptOptions,
  AttemptName,
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

export type { DockerRuntimeOptions } from './docker/options.ts';

const CALL_MS = 60_000;
const SWEEP_MS = 60_000;
const PROCESSES = 256;
const NOBODY: ContainerUser = { uid: 65_534, gid: 65_534 };
/** A file may be so much larger than a run's disk that the watch sees it is over: a bound alone kills nothing. */
const FILE_MARGIN = 64 * 1024 ** 2;

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
  /** Attempts of an earlier process that may be gone on with; what is theirs in the daemon stays. */
  readonly #kept = new Set<string>();
  /** Names of the runs that go on; what they make in the daemon begins with them. */
  readonly #alive = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #sweeps: Loop | undefined;

  constructor(daemon: Daemon, options: DockerRuntimeOptions) {
    const { worker, folder, user, data = 'auto', log, timeoutMs = DEFAULTS.timeoutMs } = options;
    const {
      imageCacheBytes: cacheBytes = DEFAULTS.imageCacheBytes,
      buildMemoryBytes = DEFAULTS.buildMemoryBytes,
      buildOutputBytes = DEFAULTS.buildOutputBytes,
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

  async adopt(spec: RunSpec, options: AdoptOptions): Promise<RunResult | undefined> {
    return await this.#track(this.#adopt(spec, { ...options, signal: this.#signal(options.signal) }));
  }

  async disown(attempt: AttemptName): Promise<void> {
    if (!this.#kept.delete(attemptKey(attempt))) return;
    await this.#sweep('an earlier worker').catch((error: unknown) => {
      const message = 'What an attempt had left in Docker cannot be removed yet; it is tried again';
      this.#options.log.warn({ error, ...attempt }, message);
    });
  }

  async recover(kept: readonly AttemptName[] = []): Promise<void> {
    const { log } = this.#options;
    for (const attempt of kept) this.#kept.add(attemptKey(attempt));
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
    using _alive = this.#keepAlive(name);
    await using data = await transport.open({ spec, name, labels, signal });
    const container = new Container(this.#daemon, name);
    await using _removal = this.#removalOf(container);
    const settings = await this.#settings(spec, image);
    const { Mounts = [] } = settings.HostConfig;
    const HostConfig = { ...settings.HostConfig, Mounts: [...Mounts, ...data.mounts] };
    const Labels = { ...labels, ...adoptionLabels(spec, transport.kind, data) };
    await container.create({ ...settings, Labels, HostConfig });
    return await this.#toEnd({ container, data, spec, image }, options);
  }

  async #adopt(spec: RunSpec, options: AdoptOptions): Promise<RunResult | undefined> {
    const { signal, printed } = options;
    signal.throwIfAborted();
    using image = await this.#images.open(spec.image, signal);
    const transport = await this.#transports.choose();
    const sought = { daemon: this.#daemon, worker: this.#owner.worker, spec };
    const found = await findAdoptable({ ...sought, kind: transport.kind });
    if (found === undefined) {
      await sweep({ ...sought, isAlive: (thing) => !isOfRun(thing, spec) || this.#runs(thing.name) });
      return undefined;
    }
    const { container, running, ranMs, before, clockOffsetMs } = found;
    const { name } = container;
    using _alive = this.#keepAlive(name);
    const labels = labelsOf(this.#owner, spec.labels);
    await using data = await transport.adopt({ spec, name, labels, signal }, before);
    await using _removal = this.#removalOf(container);
    const begun = { running, ranMs, printed: { ...printed, at: printed.at + clockOffsetMs } };
    this.#options.log.info({ ...spec.labels, container: name, running }, 'A container is gone on with');
    return await this.#toEnd({ container, data, spec, image, begun }, options);
  }

  async #toEnd({ image, ...run }: StartedRun, options: RunOptions): Promise<RunResult> {
    const { reconnectMs = DEFAULTS.reconnectMs } = this.#options;
    const program = image.entryPoint[0] ?? '';
    const result = await runContainer({ ...run, daemon: this.#daemon, program, reconnectMs }, options);
    await options.onEnd?.(result);
    return result;
  }

  #keepAlive(name: string): Disposable {
    this.#alive.add(name);
    return { [Symbol.dispose]: () => this.#alive.delete(name) };
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
  #removalOf(container: Container): AsyncDisposable {
    const { log } = this.#options;
    const remove = async () =>
      await container.remove().catch((error: unknown) => {
        log.warn({ error, container: container.name }, 'A container could not be removed yet');
      });
    return { [Symbol.asyncDispose]: remove };
  }

  async #sweep(whose: string): Promise<void> {
    const isAlive = (thing: InDaemon) => this.#runs(thing.name) || this.#kept.has(attemptOf(thing));
    const swept = await sweep({ daemon: this.#daemon, worker: this.#owner.worker, isAlive });
    if (swept.containers + swept.volumes === 0) return;
    this.#options.log.warn({ ...swept }, `Removed from Docker what ${whose} had left`);
  }

  #runs(name: string): boolean {
    return [...this.#alive].some((alive) => name.startsWith(alive));
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

/** What a container that was created is seen to its end with. */
interface StartedRun {
  readonly container: Container;
  readonly data: RunData;
  readonly spec: RunSpec;
  readonly image: ReadyImage;
  readonly begun?: Begun;
}
