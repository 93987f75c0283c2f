import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { abortable } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import { diskFull } from '../../files/disk-full.ts';
import { remembered, WorkUnderWay } from '../driver.ts';
import type {
  AdoptOptions,
  AnyRun,
  AttemptName,
  BuildContext,
  ComingRun,
  ContainerRuntime,
  FindGpusOptions,
  Gpu,
  PreparedImage,
  PrepareOptions,
  RegistryImage,
  RunOptions,
  RunResult,
  RunSpec,
} from '../index.ts';
import { followCertificates, readAddress } from './client/address.ts';
import { Daemon } from './client/daemon.ts';
import { chooseTransport } from './data/choose.ts';
import type { ContainerUser, DataTransport } from './data/transport.ts';
import { findDockerGpus, gpuProbeName } from './gpu/gpu-probe.ts';
import { ImageStore } from './images/images.ts';
import { attemptKey, attemptOf, type InDaemon, isOfRun, labelsOf, type Owner } from './labels.ts';
import { networkWarning } from './networks.ts';
import { type DockerRuntimeOptions, type DockerSettings, withDefaults } from './options.ts';
import { findAdoptable } from './run/adopt.ts';
import { Behind } from './run/behind.ts';
import { type ContainerRun, wordsOf } from './run/create.ts';
import { withReasonOfImage } from './run/entry-look.ts';
import { ContainerSource } from './run/obtain.ts';
import { runContainer, type WatchedRun } from './run/run.ts';
import { Spares, spareFolder } from './spares/index.ts';
import { sweep } from './sweep.ts';

export type { DockerRuntimeOptions } from './options.ts';

const CALL_MS = 60_000;
const SWEEP_MS = 60_000;
const NEVER = new AbortController().signal;
const NOBODY: ContainerUser = { uid: 65_534, gid: 65_534 };

/**
 * Opens the runtime that runs containers in a Docker daemon, bounded and isolated as `docker/hardening.ts` says. The
 * daemon need not be there yet: `ping` tells, and what an earlier process of the worker left is removed as soon as
 * it answers. Throws `invalid_request` for an address or certificates that cannot be read.
 */
export async function openDockerRuntime(options: DockerRuntimeOptions): Promise<TidyRuntime> {
  const settings = withDefaults(options);
  const { host, certificates: folder, timeoutMs, log } = settings;
  const address = readAddress(host, folder !== undefined);
  const isRemote = address.kind === 'tcp';
  await using stack = new AsyncDisposableStack();
  const certificates =
    isRemote && folder !== undefined ? await followCertificates(folder, { log, stack }) : undefined;
  if (isRemote && certificates === undefined) {
    const message =
      'Docker is spoken to without TLS: whoever reaches that address, or listens on the way, has its machine';
    log.warn({ host }, message);
  }
  const daemon = new Daemon({ address, certificates, callMs: Math.min(timeoutMs, CALL_MS) });
  return new DockerRuntime(daemon, settings, stack.move());
}

/** A runtime that removes what runs have left behind these. */
export interface TidyRuntime extends ContainerRuntime {
  /** `warmUp`, which resolves when it is begun, and throws where it cannot be. */
  warmedUp(coming: ComingRun): Promise<void>;
  /** Resolves when nothing waits to be removed. */
  tidied(): Promise<void>;
}

class DockerRuntime implements TidyRuntime {
  readonly name = 'docker';
  readonly isolates = true;
  readonly #daemon: Daemon;
  readonly #settings: DockerSettings;
  readonly #followed: AsyncDisposable;
  readonly #owner: Owner;
  readonly #user: ContainerUser;
  readonly #images: ImageStore;
  /** Found when the daemon first answers. */
  readonly #transport: () => Promise<DataTransport>;
  /** Attempts of an earlier process that may be resumed; what belongs to them in the daemon stays. */
  readonly #kept = new Set<string>();
  /** Names of the runs that go on; what they make in the daemon begins with them. */
  readonly #alive = new Set<string>();
  readonly #work = new WorkUnderWay();
  readonly #behind: Behind;
  readonly #spares: Spares;
  readonly #containers: ContainerSource;
  /** What is being found out before a container is started ahead, by the references of images. */
  readonly #warming = new Map<string, Promise<void>>();
  #sweeps: Loop | undefined;

  constructor(daemon: Daemon, settings: DockerSettings, followed: AsyncDisposable) {
    const { worker, folder, user, data, log, build, imageCacheBytes, reconnectMs, spares: limits } = settings;
    this.#daemon = daemon;
    this.#settings = settings;
    this.#followed = followed;
    this.#behind = new Behind(log);
    this.#owner = { worker, boot: randomUUID() };
    this.#user = user.uid === 0 ? NOBODY : user;
    const keepAlive = (name: string) => this.#keepAlive(name);
    const builds = { limits: build, owner: this.#owner, keepAlive, reconnectMs };
    const ahead = { daemon, owner: this.#owner, user: this.#user, keepAlive, limits, log };
    this.#spares = new Spares({ ...ahead, folder: spareFolder(folder) });
    const release = async () => await this.#spares.clear();
    const images = new ImageStore({ daemon, builds, cacheBytes: imageCacheBytes, release, log });
    this.#images = images;
    this.#containers = new ContainerSource({ ...ahead, images, spares: this.#spares });
    const probe = { daemon, folder: join(folder, 'probe'), user: this.#user, owner: this.#owner };
    const chosen = { probe, choice: data, workerUid: user.uid, log };
    this.#transport = remembered(() => chooseTransport(chosen));
  }

  async prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    const prepare = (signal: AbortSignal) => this.#images.prepare(context, { ...options, signal });
    return await this.#work.do(options.signal, prepare);
  }

  async load(image: RegistryImage, options: PrepareOptions): Promise<PreparedImage> {
    const load = (signal: AbortSignal) => this.#images.load(image, { ...options, signal });
    return await this.#work.do(options.signal, load);
  }

  async hasRunners(): Promise<boolean> {
    this.#work.demandOpen();
    return (await this.#transport()).kind === 'shared';
  }

  async run(spec: AnyRun, options: RunOptions): Promise<RunResult> {
    return await this.#work.do(options.signal, (signal) => this.#run(spec, { ...options, signal }));
  }

  async adopt(spec: RunSpec, options: AdoptOptions): Promise<RunResult | undefined> {
    return await this.#work.do(options.signal, (signal) => this.#adopt(spec, { ...options, signal }));
  }

  warmUp(coming: ComingRun): void {
    this.warmedUp(coming).catch((error: unknown) => {
      this.#settings.log.debug({ error }, 'A container is not started ahead');
    });
  }

  async warmedUp(coming: ComingRun): Promise<void> {
    const { reference } = coming.image;
    const warming = this.#work.do(NEVER, async (signal) => {
      const { kind } = await this.#transport();
      const seen = this.#images.recall(coming.image);
      using opened = seen === undefined ? await this.#images.open(coming.image, signal) : undefined;
      const image = seen ?? opened;
      const plan = image && (await this.#spares.planFor(coming, image, kind));
      if (plan !== undefined) this.#spares.near(plan);
    });
    this.#warming.set(reference, warming);
    await warming.finally(() => {
      if (this.#warming.get(reference) === warming) this.#warming.delete(reference);
    });
  }

  async disown(attempt: AttemptName): Promise<void> {
    if (!this.#kept.delete(attemptKey(attempt))) return;
    await this.#sweep('an earlier worker').catch((error: unknown) => {
      const message = 'What an attempt had left in Docker cannot be removed yet; it is tried again';
      this.#settings.log.warn({ error, ...attempt }, message);
    });
  }

  async recover(kept: readonly AttemptName[] = []): Promise<void> {
    const { log } = this.#settings;
    for (const attempt of kept) this.#kept.add(attemptKey(attempt));
    try {
      await this.#spares.recover();
      await this.#sweep('an earlier worker');
    } catch (error) {
      log.error({ error }, 'What an earlier worker left in Docker cannot be removed yet; it is tried again');
    }
    this.#sweeps ??= startLoop({
      name: 'sweep containers',
      everyMs: SWEEP_MS,
      work: async () => {
        await this.#sweep('a run');
        await this.#spares.look();
        await this.#images.collect();
        await this.#images.lookForRoom();
      },
      log,
    });
  }

  async gpus(options: FindGpusOptions): Promise<readonly Gpu[]> {
    const { gpuProbeImage: image } = this.#settings;
    const user = `${this.#user.uid}:${this.#user.gid}`;
    const probe = { daemon: this.#daemon, image, user, owner: this.#owner };
    const name = gpuProbeName();
    using _alive = this.#keepAlive(name);
    return await this.#work.do(options.signal, (signal) =>
      findDockerGpus(name, probe, { ...options, signal }),
    );
  }

  async machine(signal: AbortSignal): Promise<string> {
    return (await abortable(this.#daemon.facts(), signal)).machine;
  }

  async ping(signal?: AbortSignal): Promise<void> {
    this.#work.demandOpen();
    await this.#daemon.ping(signal);
    await this.#transport();
    this.#images.room.demand();
  }

  async demandRoom(signal: AbortSignal): Promise<void> {
    await this.#images.room.look(signal);
  }

  async warning(signal: AbortSignal): Promise<string | undefined> {
    const all = [await networkWarning(this.#daemon, signal), await this.#spares.problem()];
    return all.filter((one) => one !== undefined).join(' ') || undefined;
  }

  async tidied(): Promise<void> {
    await this.#behind.done();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#work.close(this.name);
    await this.#sweeps?.[Symbol.asyncDispose]();
    await closed;
    await this.#spares[Symbol.asyncDispose]();
    await this.#behind.done();
    await this.#followed[Symbol.asyncDispose]();
  }

  async #run(spec: AnyRun, options: RunOptions): Promise<RunResult> {
    const { signal } = options;
    const transport = await this.#transport();
    // A run that comes close behind its announcement is to find what that began.
    await this.#warming.get(spec.image.reference)?.catch(() => undefined);
    const { run, plan, made } = await this.#containers.obtain(spec, transport, signal);
    return await this.#behind.after(made, async () => {
      const result = await this.#toEnd(this.#watched(run), run, transport, options);
      if (plan !== undefined) this.#spares.ended(plan);
      return result;
    });
  }

  async #adopt(spec: RunSpec, options: AdoptOptions): Promise<RunResult | undefined> {
    const { signal, printed } = options;
    await using held = new AsyncDisposableStack();
    const image = held.use(await this.#images.open(spec.image, signal));
    const transport = await this.#transport();
    const sought = { daemon: this.#daemon, worker: this.#owner.worker, spec };
    const found = await findAdoptable({ ...sought, kind: transport.kind });
    if (found === undefined) {
      await sweep({ ...sought, isAlive: (thing) => !isOfRun(thing, spec) || this.#runs(thing.name) });
      return undefined;
    }
    const { container, running, startedAt, ranMs, before, clockOffsetMs } = found;
    const { name } = container;
    held.use(this.#keepAlive(name));
    const labels = labelsOf(this.#owner, spec.labels);
    const data = held.use(await transport.adopt({ spec, name, labels, signal }, before));
    held.use(this.#containers.removalOf(container));
    const begun = { running, startedAt, ranMs, printed: { ...printed, at: printed.at + clockOffsetMs } };
    this.#settings.log.info({ ...spec.labels, container: name, running }, 'A container is taken up');
    const run = { daemon: this.#daemon, container, data, spec, image };
    return await this.#behind.after(
      held.move(),
      async () => await this.#toEnd({ ...this.#watched(run), begun }, run, transport, options),
    );
  }

  #watched({ daemon, container, data, spec, image, ahead }: ContainerRun): WatchedRun {
    const { limits, mounts, gpus = [] } = spec;
    const { reconnectMs } = this.#settings;
    const [program = ''] = wordsOf(image, spec);
    return { daemon, container, data, mounts, limits, gpus, program, reconnectMs, ahead };
  }

  async #toEnd(
    watched: WatchedRun,
    run: ContainerRun,
    { kind }: DataTransport,
    options: RunOptions,
  ): Promise<RunResult> {
    const { signal } = options;
    const ended = await runContainer(watched, options);
    await this.#refuseOnFullDisk(ended, kind);
    const result = await withReasonOfImage(ended, run, { daemon: this.#daemon, owner: this.#owner, signal });
    await options.onEnd?.(result);
    return result;
  }

  /** Throws `disk_full` where a program failed that wrote to the daemon's disk, and that has no room: it may be why. */
  async #refuseOnFullDisk({ ended, exitCode }: RunResult, kind: DataTransport['kind']): Promise<void> {
    if (kind !== 'archive' || ended !== 'exited' || exitCode === 0) return;
    if (await this.#images.room.isThere()) return;
    const message = `A program ended with exit code ${exitCode} while the disk of the Docker daemon was full: it may have failed for that.`;
    throw diskFull('docker', message);
  }

  #keepAlive(name: string): Disposable {
    this.#alive.add(name);
    return { [Symbol.dispose]: () => this.#alive.delete(name) };
  }

  async #sweep(whose: string): Promise<void> {
    const isAlive = (thing: InDaemon) => this.#runs(thing.name) || this.#kept.has(attemptOf(thing));
    const swept = await sweep({ daemon: this.#daemon, worker: this.#owner.worker, isAlive });
    if (swept.containers + swept.volumes === 0) return;
    this.#settings.log.warn({ ...swept }, `Removed from Docker what ${whose} had left`);
  }

  #runs(name: string): boolean {
    return [...this.#alive].some((alive) => name.startsWith(alive));
  }
}
