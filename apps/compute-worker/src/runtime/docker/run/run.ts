import type { Readable } from 'node:stream';
import { abortable, sleep } from '@morpheo/common';
import { Beside, type ReadMount } from '../../beside.ts';
import type { Mount, RunLimits, RunOptions, RunResult } from '../../index.ts';
import { type EndCause, RunState } from '../../run-state.ts';
import type { Container, ContainerState } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { type DaemonAnswer, isAnswer } from '../client/errors.ts';
import type { RunData } from '../data/transport.ts';
import { gpuFailure } from '../gpu/gpu-request.ts';
import { elapsedMs } from './adopt.ts';
import { OutputPump, TAKEN_UP_BYTES } from './output-pump.ts';
import { startFailure } from './start-failure.ts';
import { ContainerUsage } from './usage.ts';
import { followToEnd, lost, watchContainer } from './watch.ts';

/** A container that is run, and its bounds. */
export interface WatchedRun {
  readonly daemon: Daemon;
  readonly container: Container;
  /** What it writes. */
  readonly data: Pick<RunData, 'read' | 'isBeyond' | 'collect'>;
  readonly mounts: readonly Mount[];
  readonly limits: RunLimits;
  /** The ids of its GPUs. */
  readonly gpus: readonly string[];
  /** For messages. */
  readonly program: string;
  /** How long the daemon may be away before the run is given up, in milliseconds. */
  readonly reconnectMs: number;
  /** Of a container that an earlier process of the worker started. */
  readonly begun?: Begun;
  /** Of a container that was started ahead, and whose program runs by now. */
  readonly ahead?: Ahead | undefined;
}

/** A container that was started ahead. */
export interface Ahead {
  /** All of its output, which nobody has read. */
  readonly output: Readable;
  /** The wait for its end. */
  readonly exit: Promise<number>;
  /** What the daemon told of its use before its program ran. */
  readonly before: unknown;
  /** When its program began to run, by the monotonic clock, in milliseconds. */
  readonly beganAt: number;
}

/** How far a run is that is taken up. */
export interface Begun {
  /** For how many milliseconds it has run by now, or ran until its end. */
  readonly ranMs: () => number;
  readonly running: boolean;
  /** When it began, in milliseconds since 1970 by the daemon's clock. */
  readonly startedAt: number;
  /** How many bytes of its output were passed on, and until when, in milliseconds since 1970 by the daemon's clock. */
  readonly printed: { readonly bytes: number; readonly at: number };
}

const KILL_MS = 30_000;
/** How often, and after which pause, a daemon is asked again what a program was killed for. */
const OOM_LOOKS = 5;
const OOM_LOOK_MS = 200;
/** Of the limit: a container that was killed this close to it was killed for it, though the daemon missed that. */
const NEARLY = 0.97;

/**
 * Starts a container, or takes up one that was started, and sees it to its end, as the contract of
 * `ContainerRuntime.run` asks; nothing of it runs when this settles, unless the daemon is away. Whoever created the
 * container removes it.
 */
export async function runContainer(run: WatchedRun, options: RunOptions): Promise<RunResult> {
  options.signal.throwIfAborted();
  using watch = new RunWatch(run, options);
  return await watch.result();
}

class RunWatch implements Disposable {
  readonly #run: WatchedRun;
  readonly #options: RunOptions;
  readonly #signal: AbortSignal;
  readonly #usage: ContainerUsage;
  readonly #stop = new AbortController();
  readonly #state: RunState;
  readonly #output: OutputPump;
  /** By the monotonic clock, in milliseconds. */
  #endedAt = 0;

  constructor(run: WatchedRun, options: RunOptions) {
    this.#run = run;
    this.#options = options;
    this.#signal = options.signal;
    this.#usage = new ContainerUsage(run.ahead?.before);
    this.#state = new RunState(options, leftToPrint(run));
    this.#output = new OutputPump(run.container, this.#state, this.#stop.signal);
  }

  async result(): Promise<RunResult> {
    const { container, begun, ahead } = this.#run;
    if (ahead !== undefined) {
      this.#output.take(ahead.output);
      return await this.#follow(ahead.exit, () => performance.now() - ahead.beganAt);
    }
    if (begun !== undefined) {
      const { exit } = await container.wait('not-running', this.#stop.signal);
      await this.#output.takeUp(begun.printed.at, begun.running);
      return await this.#follow(exit, begun.ranMs);
    }
    const waiting = container.wait('next-exit', this.#stop.signal);
    const [{ exit }] = await Promise.all([waiting, this.#output.attach()]);
    try {
      await container.start();
    } catch (error) {
      // Where no answer came it may have started all the same: whoever follows it finds out.
      if (isAnswer(error)) return await this.#notStarted(error);
    }
    const startedAt = performance.now();
    return await this.#follow(exit, () => performance.now() - startedAt);
  }

  [Symbol.dispose](): void {
    this.#state[Symbol.dispose]();
    this.#stop.abort();
    this.#output[Symbol.dispose]();
  }

  /** Sees it to its end, `exit` being the wait for that. */
  async #follow(exit: Promise<number>, ranMs: () => number): Promise<RunResult> {
    const { container, daemon, data, reconnectMs, limits } = this.#run;
    const stop = this.#stop.signal;
    const state = this.#state;
    const onBack = async () => await this.#output.attachAgain();
    const exited = followToEnd(exit, { daemon, container, reconnectMs, onBack, signal: stop });
    exited.then(
      () => state.end({ kind: 'exited' }),
      (error: unknown) => state.fail(error),
    );
    const wallMs = Math.max(0, limits.wallMs - ranMs());
    const watched = { daemon, container, data, wallMs, usage: this.#usage, state };
    const watching = watchContainer({ ...watched, silenceMs: 2 * reconnectMs }, stop);
    const read: ReadMount = (mount, path) => data.read(mount, path);
    const beside = new Beside(this.#run, this.#options, { read, state });
    // What ended while nobody looked may have done so too late.
    if (wallMs === 0) state.end({ kind: 'limit', ended: 'timed_out' });
    try {
      const cause = await state.ending;
      this.#endedAt = performance.now();
      const seconds = ranMs() / 1000;
      const exitCode = await this.#exitCode(cause, exited);
      // Beside what is to be waited for anyway. How another end came about is looked for when all of it is known.
      const looked = cause.kind === 'exited' && exitCode === 0 ? this.#inspect() : undefined;
      looked?.catch(() => undefined);
      await this.#output.drained();
      await beside.end(exitCode);
      return await this.#conclude(exitCode, seconds, looked);
    } finally {
      this.#stop.abort();
      await beside.end();
      await watching;
    }
  }

  async #notStarted(error: DaemonAnswer): Promise<RunResult> {
    const { program, gpus } = this.#run;
    const failure = startFailure(error, program);
    if (failure === undefined) throw gpus.length > 0 ? gpuFailure(error, gpus) : error;
    await this.#state.print('stderr', Buffer.from(failure.line));
    this.#state.throwIfFailed();
    return { ended: 'exited', exitCode: failure.exitCode, seconds: 0 };
  }

  /** The exit code, once nothing of the run is left: it is killed unless it has ended by itself. */
  async #exitCode(cause: EndCause, exited: Promise<number>): Promise<number> {
    if (cause.kind === 'exited') return await exited;
    try {
      await this.#run.container.kill();
      return await abortable(exited, AbortSignal.timeout(KILL_MS));
    } catch (error) {
      // What is to be thrown is known; of a container that was not reached, a sweep sees to the end.
      if (cause.kind === 'failed') throw cause.error;
      throw error;
    }
  }

  async #inspect(): Promise<ContainerState> {
    const { container, daemon } = this.#run;
    return await container.inspect().catch((error: unknown) => {
      throw lost(daemon, error);
    });
  }

  async #conclude(exitCode: number, seconds: number, looked?: Promise<ContainerState>): Promise<RunResult> {
    const { cause } = this.#state;
    if (cause.kind === 'failed') throw cause.error;
    const figures = this.#usage.figures;
    if (cause.kind === 'limit') {
      if (cause.ended !== 'disk_full') await this.#collect();
      return { ended: cause.ended, exitCode, seconds, ...figures };
    }
    const { limits, begun } = this.#run;
    // Asked of every end: a daemon that is being stopped ends its containers, and takes no further questions.
    const { outOfMemory, endedAt } = await (looked ?? this.#inspect());
    const result = {
      exitCode,
      seconds: begun ? elapsedMs(begun.startedAt, endedAt) / 1000 : seconds,
      ...figures,
    };
    if (exitCode !== 0) {
      const nearly = exitCode === 137 && this.#usage.countedBytes > limits.memoryBytes * NEARLY;
      // Where only a child was killed for memory and the program coped, there is nothing to complain of.
      const reached = this.#usage.mayHaveReached(limits.memoryBytes, this.#endedAt);
      const saysSo = async () =>
        outOfMemory || (exitCode === 137 && (await saysOutOfMemory(() => this.#inspect())));
      if (nearly || (reached && (await saysSo()))) {
        await this.#collect();
        return { ended: 'out_of_memory', ...result };
      }
      // The kernel, for want of memory of the whole machine, or somebody else: it was not the limit.
      if (exitCode === 137 && !reached) return { ended: 'exited', killedBelowLimits: true, ...result };
    }
    return { ended: (await this.#collect()) ? 'exited' : 'disk_full', ...result };
  }

  /** Brings back what was written; false where that is too much. */
  async #collect(): Promise<boolean> {
    const whole = await this.#run.data.collect(this.#signal);
    this.#state.throwIfFailed();
    return whole;
  }
}

/** Of the output that a run may still pass on; a line of the pump's own is not on its account. */
function leftToPrint({ limits, begun }: WatchedRun): number {
  if (begun === undefined) return limits.outputBytes;
  return Math.max(0, limits.outputBytes - begun.printed.bytes) + TAKEN_UP_BYTES;
}

/** Whether the daemon says so soon: it hears of the end of a program and of what it was killed for by two ways. */
async function saysOutOfMemory(inspect: () => Promise<{ readonly outOfMemory: boolean }>): Promise<boolean> {
  for (let look = 0; look < OOM_LOOKS; look += 1) {
    await sleep(OOM_LOOK_MS);
    if ((await inspect()).outOfMemory) return true;
  }
  return false;
}
