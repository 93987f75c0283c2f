import type { Readable } from 'node:stream';
import { orAborted, pause } from '../../abort.ts';
import type { RunOptions, RunResult, RunSpec } from '../index.ts';
import { Output } from '../output.ts';
import type { Container } from './container.ts';
import type { Daemon } from './daemon.ts';
import { type DaemonAnswer, isAnswer } from './daemon-error.ts';
import type { RunData } from './data.ts';
import { readFrames } from './frames.ts';
import { gpuFailure } from './gpu-request.ts';
import { followToEnd, lost } from './lifeline.ts';
import { startFailure } from './start-failure.ts';
import { ContainerUsage } from './usage.ts';
import { watchContainer } from './watches.ts';

/** A container that is created, and what goes with it. */
export interface CreatedRun {
  readonly daemon: Daemon;
  readonly container: Container;
  readonly data: RunData;
  readonly spec: RunSpec;
  /** The program, for messages. */
  readonly program: string;
  /** How long the daemon may be away before the run is given up, in milliseconds. */
  readonly reconnectMs: number;
  /** Of a container that an earlier process of the worker started. */
  readonly begun?: Begun;
}

/** How far a run is that is taken up. */
export interface Begun {
  /** For how many milliseconds it has run by now, or ran until its end. */
  readonly ranMs: () => number;
  readonly running: boolean;
  /** How many bytes of its output were passed on, and until when, in milliseconds since 1970 by the daemon's clock. */
  readonly printed: { readonly bytes: number; readonly at: number };
}

type Cause =
  | { readonly kind: 'ended' }
  | { readonly kind: 'limit'; readonly ended: Exclude<RunResult['ended'], 'exited'> }
  | { readonly kind: 'thrown'; readonly error: unknown };

const QUIET_MS = 2000;
const KILL_MS = 30_000;
const STARTED_AGAIN = 'The worker was started again here: some of the output may be missing, or come twice.';
/** Of the limit: a container that was killed this close to it was killed for it, though the daemon missed that. */
const NEARLY = 0.97;

/**
 * Starts a container, or takes up one that was started, and sees it to its end, as the contract of `ContainerRuntime.run` asks; nothing of it runs when
 * this settles, unless the daemon is away. Whoever created the container removes it.
 */
export async function runContainer(what: CreatedRun, options: RunOptions): Promise<RunResult> {
  return await new ContainerRun(what, options).result();
}

class ContainerRun {
  readonly #what: CreatedRun;
  readonly #options: RunOptions;
  readonly #usage = new ContainerUsage();
  readonly #output: Output;
  readonly #stop = new AbortController();
  readonly #cause = Promise.withResolvers<Cause>();
  /** What is known last wins over how the program ended, for instance an abort while its output is still read. */
  #late: Cause | undefined;
  #streams: Readable[] = [];
  #pumps: Promise<void>[] = [];

  constructor(what: CreatedRun, options: RunOptions) {
    this.#what = what;
    this.#options = options;
    this.#output = new Output({
      limitBytes: leftToPrint(what),
      onOutput: options.onOutput,
      onLimit: () => this.#end({ kind: 'limit', ended: 'output_limit' }),
    });
  }

  async result(): Promise<RunResult> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    const abort = () => this.#end({ kind: 'thrown', error: signal.reason });
    signal.addEventListener('abort', abort);
    try {
      return await this.#run();
    } finally {
      signal.removeEventListener('abort', abort);
      this.#output.close();
      this.#stop.abort();
      for (const stream of this.#streams) stream.destroy();
    }
  }

  async #run(): Promise<RunResult> {
    const { container, begun } = this.#what;
    if (begun !== undefined) {
      const { exit } = await container.wait('not-running', this.#stop.signal);
      await this.#takeUpOutput(begun);
      return await this.#follow(exit, begun.ranMs);
    }
    await this.#attach();
    const { exit } = await container.wait('next-exit', this.#stop.signal);
    try {
      await container.start();
    } catch (error) {
      // Where no answer came it may have started all the same: whoever follows it finds out.
      if (isAnswer(error)) return await this.#notStarted(error);
    }
    const startedAt = performance.now();
    return await this.#follow(exit, () => performance.now() - startedAt);
  }

  /** Sees it to its end, `exit` being the wait for that. */
  async #follow(exit: Promise<number>, ranMs: () => number): Promise<RunResult> {
    const { container, daemon, data, reconnectMs, spec } = this.#what;
    const onBack = async () => await this.#attachAgain();
    const ending = followToEnd(exit, { daemon, container, reconnectMs, onBack, signal: this.#stop.signal });
    ending.then(
      () => this.#end({ kind: 'ended' }),
      (error: unknown) => this.#end({ kind: 'thrown', error }),
    );
    const onLimit = (ended: Exclude<RunResult['ended'], 'exited'>) => this.#end({ kind: 'limit', ended });
    const onError = (error: unknown) => this.#end({ kind: 'thrown', error });
    const onSilence = (error: unknown) => onError(lost(daemon, error));
    const limits = { ...spec.limits, wallMs: Math.max(0, spec.limits.wallMs - ranMs()) };
    const watched = { container, data, limits, usage: this.#usage, onLimit, onError, onSilence };
    const watching = watchContainer({ ...watched, silenceMs: 2 * reconnectMs }, this.#stop.signal);
    // What ended while nobody looked may have done so too late.
    if (limits.wallMs === 0) onLimit('timed_out');
    try {
      const first = await this.#cause.promise;
      const seconds = ranMs() / 1000;
      const exitCode = await this.#over(first, ending);
      if (this.#late?.kind !== 'thrown') await this.#drain();
      return await this.#concluded(this.#late ?? first, exitCode, seconds);
    } finally {
      this.#stop.abort();
      await watching;
    }
  }

  /** What was printed while nobody listened, as far as the daemon kept it, and then what is printed from now on. */
  async #takeUpOutput({ running, printed }: Begun): Promise<void> {
    const { container } = this.#what;
    const live = running ? await this.#opened(container.attach()) : undefined;
    await this.#note(STARTED_AGAIN);
    const kept = this.#opened(container.outputSince(printed.at, this.#stop.signal)).catch(() => undefined);
    this.#pumps.push(
      kept.then(async (before) => {
        if (before === undefined) await this.#note('What was printed meanwhile cannot be read from Docker.');
        else await this.#pump(before);
        if (live !== undefined) await this.#pump(live);
      }),
    );
  }

  async #notStarted(error: DaemonAnswer): Promise<RunResult> {
    const { program, spec } = this.#what;
    const { gpus = [] } = spec;
    const failure = startFailure(error, program);
    if (failure === undefined) throw gpus.length > 0 ? gpuFailure(error, gpus) : error;
    await this.#output.print('stderr', Buffer.from(failure.line));
    return { ended: 'exited', exitCode: failure.exitCode, seconds: 0 };
  }

  #end(cause: Cause): void {
    if (cause.kind === 'limit') this.#late ??= cause;
    if (cause.kind === 'thrown') {
      if (this.#late?.kind !== 'thrown') this.#late = cause;
      this.#output.close();
    }
    this.#cause.resolve(cause);
  }

  /** The exit code, once nothing of the run is left: it is killed unless it has ended by itself. */
  async #over(cause: Cause, ending: Promise<number>): Promise<number> {
    if (cause.kind === 'ended') return await ending;
    try {
      await this.#what.container.kill();
      return await orAborted(ending, AbortSignal.timeout(KILL_MS));
    } catch (error) {
      // What is to be thrown is known; of a container that was not reached, a sweep sees to the end.
      if (cause.kind === 'thrown') throw cause.error;
      throw error;
    }
  }

  async #attach(): Promise<void> {
    this.#pumps.push(this.#pump(await this.#opened(this.#what.container.attach())));
  }

  async #opened(opening: Promise<Readable>): Promise<Readable> {
    const stream = await opening;
    this.#streams.push(stream);
    return stream;
  }

  async #attachAgain(): Promise<void> {
    await this.#note('The connection to Docker was lost: some of the output is missing here.');
    await this.#attach();
  }

  async #pump(stream: Readable): Promise<void> {
    try {
      for await (const chunk of readFrames(stream)) await this.#print(chunk.stream, chunk.bytes);
    } catch {
      // Not the receiver's doing: the wait for the container tells whether the daemon is lost.
      if (!this.#stop.signal.aborted) await this.#note('The output ended early: its connection broke.');
    }
  }

  async #note(text: string): Promise<void> {
    await this.#print('stderr', noteBytes(text));
  }

  async #print(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    try {
      await this.#output.print(stream, bytes);
    } catch (error) {
      this.#end({ kind: 'thrown', error });
    }
  }

  /** Waits until all output is passed on; should its end never come, until it has been quiet for a while. */
  async #drain(): Promise<void> {
    const drained = new AbortController();
    const quiet = (async () => {
      while (this.#output.idleMs < QUIET_MS && this.#late?.kind !== 'thrown') {
        await pause(20, drained.signal).catch(() => undefined);
        if (drained.signal.aborted) return;
      }
    })();
    await Promise.race([Promise.all(this.#pumps), quiet]);
    drained.abort();
  }

  async #concluded(cause: Cause, exitCode: number, seconds: number): Promise<RunResult> {
    if (cause.kind === 'thrown') throw cause.error;
    const figures = this.#usage.figures;
    if (cause.kind === 'limit') return { ended: cause.ended, exitCode, seconds, ...figures };
    const { container, daemon, data, spec, begun } = this.#what;
    // Asked of every end: a daemon that is being stopped ends its containers, and takes no further questions.
    const { outOfMemory, startedAt, endedAt } = await container.inspect().catch((error: unknown) => {
      throw lost(daemon, error);
    });
    const result = { exitCode, seconds: begun ? (endedAt - startedAt) / 1000 : seconds, ...figures };
    if (exitCode !== 0) {
      const nearly = exitCode === 137 && this.#usage.countedBytes > spec.limits.memoryBytes * NEARLY;
      // Where only a child was killed for memory and the program coped, there is nothing to complain of.
      if (outOfMemory || nearly) return { ended: 'out_of_memory', ...result };
    }
    const whole = await data.collect(this.#options.signal);
    if (this.#late?.kind === 'thrown') throw this.#late.error;
    return { ended: whole ? 'exited' : 'disk_full', ...result };
  }
}

function noteBytes(text: string): Buffer {
  return Buffer.from(`[morpheo] ${text}\n`);
}

/** Of the output that a run may still pass on; our own line is not on its account. */
function leftToPrint({ spec, begun }: CreatedRun): number {
  if (begun === undefined) return spec.limits.outputBytes;
  return Math.max(0, spec.limits.outputBytes - begun.printed.bytes) + noteBytes(STARTED_AGAIN).byteLength;
}
