import type { Log } from '@morpheo/service/log';
import type { AnyRun, RunSpec } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import type { ContainerUser, DataTransport } from '../data/transport.ts';
import type { ImageStore } from '../images/images.ts';
import { inName, LABELS, labelsOf, nameFor, type Owner } from '../labels.ts';
import type { Spares } from '../spares/index.ts';
import type { SparePlan } from '../spares/plan.ts';
import { adoptionLabels } from './adopt.ts';
import { type ContainerRun, createContainer } from './create.ts';

/** What a {@link ContainerSource} works with. */
export interface ContainerSourceOptions {
  readonly daemon: Daemon;
  readonly owner: Owner;
  readonly user: ContainerUser;
  readonly images: ImageStore;
  readonly spares: Spares;
  /** Keeps what has this name, and names that begin with it, from being swept until it is disposed. */
  readonly keepAlive: (name: string) => Disposable;
  readonly log: Log;
}

/** A container for a run, what another like it would be, and what is to be disposed of after the run. */
export interface ObtainedContainer {
  readonly run: ContainerRun;
  readonly plan: SparePlan | undefined;
  readonly made: AsyncDisposableStack;
}

/** Where runs have their containers from: one that was started ahead, or one that is made for them. */
export class ContainerSource {
  readonly #options: ContainerSourceOptions;

  constructor(options: ContainerSourceOptions) {
    this.#options = options;
  }

  /** A container with the data of a run: not started yet, or with the run's program running in it by now. */
  async obtain(spec: AnyRun, transport: DataTransport, signal: AbortSignal): Promise<ObtainedContainer> {
    const ahead = spec.writable === undefined ? await this.#ahead(spec, transport, signal) : undefined;
    return ahead ?? (await this.#made(spec, transport, signal));
  }

  /** A container that cannot be removed now is left to a sweep: how the run ended is known all the same. */
  removalOf(container: Container): AsyncDisposable {
    const { log } = this.#options;
    const remove = async () =>
      await container.remove().catch((error: unknown) => {
        log.warn({ error, container: container.name }, 'A container could not be removed yet');
      });
    return { [Symbol.asyncDispose]: remove };
  }

  async #made(spec: AnyRun, transport: DataTransport, signal: AbortSignal): Promise<ObtainedContainer> {
    const { daemon, owner, user, images, spares, keepAlive } = this.#options;
    await using held = new AsyncDisposableStack();
    const image = held.use(await images.open(spec.image, signal));
    const plan = spec.writable === undefined ? await spares.planFor(spec, image, transport.kind) : undefined;
    const name = nameFor(spec.labels);
    const labels = labelsOf(owner, spec.labels);
    held.use(keepAlive(name));
    const make = async () => {
      await using stack = new AsyncDisposableStack();
      const data = stack.use(await transport.open({ spec, name, labels, signal }));
      const container = new Container(daemon, name);
      stack.use(this.removalOf(container));
      const run = { daemon, container, data, spec, image };
      const adoption = spec.writable === undefined ? adoptionLabels(spec, transport.kind, data) : {};
      await createContainer(run, user, { ...labels, ...adoption });
      return { run, made: stack.move() };
    };
    const { run, made } = await images.room.use(make);
    held.use(made);
    return { run, plan, made: held.move() };
  }

  /** Undefined where none was started ahead. */
  async #ahead(
    spec: RunSpec,
    transport: DataTransport,
    signal: AbortSignal,
  ): Promise<ObtainedContainer | undefined> {
    const { daemon, owner, images, spares, log } = this.#options;
    // The image is there, since the container is: it need not be asked for.
    const image = images.recall(spec.image);
    const plan = image && (await spares.planFor(spec, image, transport.kind));
    const spare = plan && (await spares.take(plan, spec, signal));
    if (image === undefined || spare === undefined) return undefined;
    const { container, output, exit, before } = spare;
    await using stack = new AsyncDisposableStack();
    stack.use(spare);
    const labels = labelsOf(owner, spec.labels);
    const data = stack.use(await transport.open({ spec, name: container.name, labels, signal }));
    const [beganAt, began] = [performance.now(), Date.now()];
    if (!(await spare.go(signal))) return undefined;
    const told = { ...labels, ...adoptionLabels(spec, transport.kind, data), [LABELS.began]: String(began) };
    // Not before its program runs, or a gate that ended with its worker would be taken up as a run; and before anything is
    // heard of the run. Should the worker die in between, it is not found, and is run again.
    await spare.nameAfter(inName(told)).catch((error: unknown) => {
      log.warn({ error }, 'A container could not be named after its run');
    });
    log.debug({ ...spec.labels, container: container.name }, 'A run has a container that was started ahead');
    const ahead = { output, exit, before, beganAt };
    return { run: { daemon, container, data, spec, image, ahead }, plan, made: stack.move() };
  }
}
