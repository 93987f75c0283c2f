import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { PlatformError, withTimeout } from '@morpheo/common';
import { removeTree } from '../../../files/remove-tree.ts';
import type { Mount } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { LABELS, type Owner, SPARE_NAME } from '../labels.ts';
import { type Gate, gatePlace } from './gate.ts';
import { makePlaces, takePlaces } from './places.ts';
import type { SparePlan } from './plan.ts';

/** What spare containers are started with. */
export interface SpareOptions {
  readonly daemon: Daemon;
  readonly owner: Owner;
  /** The program of the gate for the daemon's machine. */
  readonly gate: Buffer;
  /** A folder of the worker that the daemon has at the same path; each has one of its own in it. */
  readonly folder: string;
  /** Keeps what has this name, and names that begin with it, from being swept until it is disposed. */
  readonly keepAlive: (name: string) => Disposable;
}

/** How long a container may take to come to its gate, and a gate to answer; in milliseconds. */
const ARRIVAL_MS = 60_000;
const ANSWER_MS = 10_000;

/** The parts of a spare container that waits at its gate. */
interface SpareParts {
  readonly container: Container;
  readonly name: string;
  readonly gate: Gate;
  readonly output: Readable;
  readonly exit: Promise<number>;
  readonly folder: string;
  /** What the daemon told of its use before its program ran. */
  readonly before: unknown;
}

/**
 * A container that runs already, and whose program waits behind a gate: it has all limits and all hardening, and empty
 * folders. It is for one run. Disposing removes it, whatever it does.
 */
export class Spare {
  readonly plan: SparePlan;
  readonly container: Container;
  /** Its output, of which nothing comes before the program runs. */
  readonly output: Readable;
  /** The wait for its end. */
  readonly exit: Promise<number>;
  readonly before: unknown;
  readonly #parts: SpareParts;
  readonly #stack: AsyncDisposableStack;
  #pausing: Promise<void> | undefined;
  #isGone = false;

  private constructor(plan: SparePlan, parts: SpareParts, stack: AsyncDisposableStack) {
    this.plan = plan;
    this.container = parts.container;
    this.output = parts.output;
    this.exit = parts.exit;
    this.before = parts.before;
    this.#parts = parts;
    this.#stack = stack;
    void this.gone.then(() => {
      this.#isGone = true;
    });
  }

  /** Starts one, and waits until it is at its gate. Throws as the daemon does, and `unavailable` where it never comes there. */
  static async start(plan: SparePlan, options: SpareOptions, signal: AbortSignal): Promise<Spare> {
    const { daemon, owner } = options;
    const name = `${SPARE_NAME}${randomBytes(6).toString('hex')}`;
    await using stack = new AsyncDisposableStack();
    stack.use(options.keepAlive(name));
    const folder = join(options.folder, name);
    stack.defer(async () => await removeTree(folder));
    const data = join(folder, 'data');
    await makePlaces(plan.places, data);
    await using place = await gatePlace(options.gate, join(folder, 'gate'));
    let container = new Container(daemon, name);
    stack.defer(async () => await container.remove());
    const binds = plan.mounts.map(({ container, readOnly }, index) => ({
      Type: 'bind' as const,
      Source: join(data, plan.places[index] ?? ''),
      Target: container,
      ReadOnly: readOnly,
    }));
    const { HostConfig: host = {}, ...settings } = plan.options;
    const id = await container.create({
      ...settings,
      Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot, [LABELS.spare]: '' },
      HostConfig: { ...host, Mounts: [...(host.Mounts ?? []), ...binds, place.mount] },
    });
    // By its id from here on: it has another name as soon as it is somebody's run.
    container = new Container(daemon, id);
    const ending = new AbortController();
    stack.defer(() => ending.abort());
    const output = stack.adopt(await container.attach(), (stream) => {
      stream.destroy();
    });
    const { exit } = await container.wait('next-exit', ending.signal);
    const arriving = place.arrival(AbortSignal.any([signal, AbortSignal.timeout(ARRIVAL_MS)]));
    arriving.catch(() => undefined);
    await container.start();
    const gate = stack.use(await Promise.race([arriving, neverCame(exit)]));
    const before = await container.stats(signal).catch(() => undefined);
    return new Spare(plan, { container, name, gate, output, exit, folder: data, before }, stack.move());
  }

  /** Resolves when its program can never run any more, or has been let run. */
  get gone(): Promise<void> {
    const { gate, exit } = this.#parts;
    const ended = exit.then(
      () => undefined,
      () => undefined,
    );
    return Promise.race([gate.gone, ended]);
  }

  /** False where it has gone: its daemon was stopped, say. */
  get waits(): boolean {
    return !this.#isGone;
  }

  /** Halts it, so that it takes no processor at all; it costs the run that has it the time of waking it up. */
  async pause(): Promise<void> {
    this.#pausing ??= this.container.pause();
    await this.#pausing;
  }

  /** Puts what lies in the folders of a run into its own, and these in their places. Throws as {@link takePlaces}. */
  async take(mounts: readonly Mount[]): Promise<void> {
    await takePlaces(mounts, this.plan.places, this.#parts.folder);
  }

  /**
   * Lets its program run. False where its gate has gone: then the program has not run, and never does. Throws `unavailable`
   * where nobody can tell.
   */
  async go(signal: AbortSignal): Promise<boolean> {
    if (this.#pausing !== undefined) {
      await this.#pausing.catch(() => undefined);
      if (this.waits) await this.container.unpause();
    }
    const late = () => new PlatformError('unavailable', 'The gate of a container does not answer.');
    return await withTimeout(ANSWER_MS, signal, late, async (stop) => await this.#parts.gate.open(stop));
  }

  /** Gives it the name that says whose run it is. */
  async nameAfter(run: string): Promise<void> {
    await this.container.rename(`${this.#parts.name}.${run}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function neverCame(exit: Promise<number>): Promise<never> {
  const code = await exit;
  throw new PlatformError('unavailable', `A container ended with ${code} before it came to its gate.`);
}
