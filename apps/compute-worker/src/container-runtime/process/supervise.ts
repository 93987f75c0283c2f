import { PlatformError } from '@morpheo/common';
import { pause } from '../../abort.ts';
import { DiskWatch } from '../disk-watch.ts';
import type { RunLimits, RunOptions, RunResult } from '../index.ts';
import { Output } from '../output.ts';
import { onWallLimit } from '../wall-limit.ts';
import { type Child, type Command, type Ending, startChild } from './child.ts';
import { Family } from './family.ts';
import { UsageWatch } from './usage-watch.ts';

/** A program to run under supervision. */
export interface Supervised {
  readonly command: Command;
  readonly limits: RunLimits;
  /** Folders that the program may add to, within the limits of disk. */
  readonly folders: readonly string[];
  /** The value of `MORPHEO_RUN` in its environment: no other run has it. */
  readonly marker: string;
}

type Cause =
  | { readonly kind: 'ended' }
  | { readonly kind: 'limit'; readonly ended: Exclude<RunResult['ended'], 'exited'> }
  | { readonly kind: 'thrown'; readonly error: unknown };

const POLL_MS = 250;
/** A look may take this part of the time between two looks: 1/10. */
const LOOK_SHARE = 10;
const QUIET_MS = 2_000;

/**
 * Runs a program to its end and sees to it that nothing of it is left, as the contract of `ContainerRuntime.run`
 * asks. Rejects with the signal's reason, with what `onOutput` rejects with, and with `unavailable` or `internal`
 * where this machine fails.
 */
export async function supervise(what: Supervised, options: RunOptions): Promise<RunResult> {
  options.signal.throwIfAborted();
  const run = new SupervisedRun(what, options, await DiskWatch.open(what.folders, diskLimits(what.limits)));
  return await run.result();
}

function diskLimits({ diskBytes, diskFiles }: RunLimits): { bytes: number; files: number } {
  return { bytes: diskBytes, files: diskFiles };
}

class SupervisedRun {
  readonly #what: Supervised;
  readonly #options: RunOptions;
  readonly #disk: DiskWatch;
  readonly #family: Family;
  readonly #usage: UsageWatch;
  readonly #output: Output;
  readonly #stop = new AbortController();
  readonly #cause = Promise.withResolvers<Cause>();
  /** What is known last wins over how the program ended, for instance an abort while its output is still read. */
  #late: Cause | undefined;

  constructor(what: Supervised, options: RunOptions, disk: DiskWatch) {
    this.#what = what;
    this.#options = options;
    this.#disk = disk;
    this.#family = new Family(what.marker);
    this.#usage = new UsageWatch(this.#family, what.limits.memoryBytes);
    this.#output = new Output({
      limitBytes: what.limits.outputBytes,
      onOutput: options.onOutput,
      onLimit: () => this.#end({ kind: 'limit', ended: 'output_limit' }),
    });
  }

  async result(): Promise<RunResult> {
    const child = startChild(this.#what.command);
    const start = performance.now();
    if (child.pid !== undefined) this.#family.lead(child.pid);
    const abort = () => this.#end({ kind: 'thrown', error: this.#options.signal.reason });
    this.#options.signal.addEventListener('abort', abort);
    if (this.#options.signal.aborted) abort();
    const pumps = this.#pumps(child);
    const watches = this.#watches(child);
    try {
      const first = await this.#cause.promise;
      const seconds = (performance.now() - start) / 1000;
      await this.#family.end();
      const ending = await child.ended;
      if ('startError' in ending) await this.#tellStart(ending.startError);
      await this.#drain(pumps, child);
      return await this.#concluded(this.#late ?? first, ending, seconds);
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
      this.#output.close();
      this.#stop.abort();
      child.stdout.destroy();
      child.stderr.destroy();
      await watches;
    }
  }

  #end(cause: Cause): void {
    if (cause.kind === 'limit') this.#late ??= cause;
    if (cause.kind === 'thrown') {
      if (this.#late?.kind !== 'thrown') this.#late = cause;
      this.#output.close();
    }
    this.#cause.resolve(cause);
  }

  #pumps({ stdout, stderr }: Child): Promise<unknown> {
    const fail = (error: unknown) => this.#end({ kind: 'thrown', error });
    return Promise.all([
      this.#output.pump('stdout', stdout).catch(fail),
      this.#output.pump('stderr', stderr).catch(fail),
    ]);
  }

  /** Resolves once nothing is watched any more, which is soon after the stop. */
  async #watches(child: Child): Promise<void> {
    const { wallMs } = this.#what.limits;
    using limit = onWallLimit(wallMs, () => this.#end({ kind: 'limit', ended: 'timed_out' }));
    void child.ended.then(() => {
      limit[Symbol.dispose]();
      this.#end({ kind: 'ended' });
    });
    await Promise.all([
      this.#watch('out_of_memory', () => this.#usage.isBeyond(), [5, 20, 50, 100]),
      this.#watch('disk_full', () => this.#disk.isBeyond(), []),
    ]);
  }

  async #watch(
    ended: 'out_of_memory' | 'disk_full',
    isBeyond: () => boolean | Promise<boolean>,
    first: readonly number[],
  ): Promise<void> {
    const stop = this.#stop.signal;
    try {
      for (let look = 0; ; look += 1) {
        const start = performance.now();
        if (look > 0 && (await isBeyond())) return this.#end({ kind: 'limit', ended });
        const cost = performance.now() - start;
        await pause(Math.max(first[look] ?? POLL_MS, cost * LOOK_SHARE), stop);
      }
    } catch (error) {
      if (!stop.aborted) this.#end({ kind: 'thrown', error });
    }
  }

  /**
   * Waits until all output is passed on. Should a process have got away that holds the pipes open, their end never
   * comes: they are closed once they have been quiet for a while.
   */
  async #drain(pumps: Promise<unknown>, child: Child): Promise<void> {
    const drained = new AbortController();
    const quiet = (async () => {
      while (this.#output.idleMs < QUIET_MS && this.#late?.kind !== 'thrown') {
        await pause(20, drained.signal).catch(() => undefined);
        if (drained.signal.aborted) return;
      }
      child.stdout.destroy();
      child.stderr.destroy();
    })();
    await Promise.race([pumps, quiet]);
    drained.abort();
  }

  async #tellStart(error: Error): Promise<void> {
    const text = `Cannot start ${this.#what.command.program}: ${startCode(error) === 127 ? 'not found' : 'not executable'}.\n`;
    await this.#output.print('stderr', Buffer.from(text));
  }

  async #concluded(cause: Cause, ending: Ending, seconds: number): Promise<RunResult> {
    if (cause.kind === 'thrown') throw cause.error;
    const exitCode = 'exitCode' in ending ? ending.exitCode : startCode(ending.startError);
    const result = { exitCode, seconds, ...this.#usage.figures };
    if (cause.kind === 'limit') return { ended: cause.ended, ...result };
    const ended = (await this.#disk.isBeyond()) ? 'disk_full' : 'exited';
    return { ended, ...result };
  }
}

function startCode(error: Error): number {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return 127;
  if (code === 'EACCES' || code === 'ENOEXEC' || code === 'EISDIR' || code === 'ELOOP') return 126;
  throw new PlatformError('unavailable', 'This machine cannot start a process now.', { cause: error });
}
