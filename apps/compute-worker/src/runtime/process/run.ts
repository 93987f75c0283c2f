import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Readable } from 'node:stream';
import { errnoOf, PlatformError, sleep } from '@morpheo/common';
import { Beside, readHost } from '../beside.ts';
import { DiskWatch } from '../folders.ts';
import type { Mount, RunLimits, RunOptions, RunResult } from '../index.ts';
import { onWallLimit, type PassedLimit, RunState } from '../run-state.ts';
import { Family } from './family.ts';
import { UsageWatch } from './usage-watch.ts';

/** What to start. */
export interface Command {
  readonly program: string;
  /** What whoever wrote it calls the program. */
  readonly name: string;
  readonly args: readonly string[];
  readonly folder: string;
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A program to run until its end. */
export interface ProcessRun {
  readonly command: Command;
  readonly limits: RunLimits;
  /** Folders that the program may add to, within the limits of disk. */
  readonly folders: readonly string[];
  readonly mounts: readonly Mount[];
  /** The value of `MORPHEO_RUN` in its environment: no other run has it. */
  readonly marker: string;
}

/** How a program ended, or why it could not be started. */
type Exit = { readonly exitCode: number } | { readonly startError: Error };

/** A started program: the leader of a session and process group of its own, its stdin empty. */
interface Child {
  readonly pid: number | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<Exit>;
}

const POLL_MS = 250;
/** A look may take this part of the time between two looks: 1/10. */
const LOOK_SHARE = 10;

/**
 * Runs a program to its end and sees to it that nothing of it is left, as the contract of `ContainerRuntime.run`
 * asks. Rejects with the signal's reason, with what `onOutput` rejects with, and with `unavailable` or `internal`
 * where this machine fails.
 */
export async function runProcess(run: ProcessRun, options: RunOptions): Promise<RunResult> {
  options.signal.throwIfAborted();
  const { diskBytes, diskFiles, outputBytes } = run.limits;
  const disk = await DiskWatch.open(run.folders, { bytes: diskBytes, files: diskFiles });
  using state = new RunState(options, outputBytes);
  return await new RunWatch(run, state, disk).result(options);
}

class RunWatch {
  readonly #run: ProcessRun;
  readonly #state: RunState;
  readonly #disk: DiskWatch;
  readonly #family: Family;
  readonly #usage: UsageWatch;
  readonly #stop = new AbortController();

  constructor(run: ProcessRun, state: RunState, disk: DiskWatch) {
    this.#run = run;
    this.#state = state;
    this.#disk = disk;
    this.#family = new Family(run.marker);
    this.#usage = new UsageWatch(this.#family, run.limits.memoryBytes);
  }

  async result(options: RunOptions): Promise<RunResult> {
    const child = startChild(this.#run.command);
    const { stdout, stderr } = child;
    const start = performance.now();
    if (child.pid !== undefined) this.#family.lead(child.pid);
    const state = this.#state;
    const pumped = Promise.all([state.pump('stdout', stdout), state.pump('stderr', stderr)]);
    const watching = this.#watch(child);
    const beside = new Beside(this.#run, options, { read: readHost, state });
    try {
      await state.ending;
      const seconds = (performance.now() - start) / 1000;
      await this.#family.end();
      const exit = await child.exited;
      const exitCode = 'exitCode' in exit ? exit.exitCode : await this.#notStarted(exit.startError);
      // Should a process have got away that holds the pipes open, their end never comes.
      await state.drained(pumped);
      await beside.end(exitCode);
      return await this.#conclude(exitCode, seconds);
    } finally {
      this.#stop.abort();
      stdout.destroy();
      stderr.destroy();
      await beside.end();
      await watching;
    }
  }

  /** Resolves once nothing is watched any more, which is soon after the stop. */
  async #watch(child: Child): Promise<void> {
    const { wallMs } = this.#run.limits;
    using limit = onWallLimit(wallMs, () => this.#state.end({ kind: 'limit', ended: 'timed_out' }));
    void child.exited.then(() => {
      limit[Symbol.dispose]();
      this.#state.end({ kind: 'exited' });
    });
    await Promise.all([
      this.#watchLimit('out_of_memory', () => this.#usage.isBeyond(), [5, 20, 50, 100]),
      this.#watchLimit('disk_full', () => this.#disk.isBeyond(), []),
    ]);
  }

  async #watchLimit(
    ended: PassedLimit,
    isBeyond: () => boolean | Promise<boolean>,
    firstMs: readonly number[],
  ): Promise<void> {
    const stop = this.#stop.signal;
    try {
      for (let look = 0; ; look += 1) {
        const start = performance.now();
        if (look > 0 && (await isBeyond())) return this.#state.end({ kind: 'limit', ended });
        const cost = performance.now() - start;
        await sleep(Math.max(firstMs[look] ?? POLL_MS, cost * LOOK_SHARE), stop);
      }
    } catch (error) {
      if (!stop.aborted) this.#state.fail(error);
    }
  }

  /** Says on stderr why the program could not be started; returns the exit code of a shell for that. */
  async #notStarted(error: Error): Promise<number> {
    const { exitCode, why } = startFault(error);
    const line = `Cannot start ${this.#run.command.name}: ${why}.\n`;
    await this.#state.print('stderr', Buffer.from(line));
    return exitCode;
  }

  async #conclude(exitCode: number, seconds: number): Promise<RunResult> {
    const { cause } = this.#state;
    if (cause.kind === 'failed') throw cause.error;
    const result = { exitCode, seconds, ...this.#usage.figures };
    if (cause.kind === 'limit') return { ended: cause.ended, ...result };
    const ended = (await this.#disk.isBeyond()) ? 'disk_full' : 'exited';
    return { ended, ...result };
  }
}

function startChild({ program, args, folder, environment }: Command): Child {
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  const child = spawned(() => spawn(program, args, { cwd: folder, env: environment, detached: true, stdio }));
  if (child instanceof Error) return neverStarted(child);
  const { promise: exited, resolve } = Promise.withResolvers<Exit>();
  child.once('error', (startError) => resolve({ startError }));
  child.once('exit', (code, signal) => {
    resolve({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) });
  });
  return { pid: child.pid, stdout: child.stdout, stderr: child.stderr, exited };
}

/** Of some errors Node tells by an event, others it throws. */
function spawned<T>(start: () => T): T | Error {
  try {
    return start();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

function neverStarted(startError: Error): Child {
  const nothing = () => Readable.from([]);
  return { pid: undefined, stdout: nothing(), stderr: nothing(), exited: Promise.resolve({ startError }) };
}

function startFault(error: Error): { readonly exitCode: number; readonly why: string } {
  const code = errnoOf(error) ?? '';
  if (['ENOENT', 'ENAMETOOLONG'].includes(code)) return { exitCode: 127, why: 'not found' };
  if (code === 'ENOTDIR')
    return { exitCode: 127, why: 'its working folder, or one on the way to it, is a file' };
  if (code === 'E2BIG')
    return {
      exitCode: 126,
      why: 'its arguments and variables, with paths replaced by real ones, are longer than this machine takes',
    };
  if (['EACCES', 'ENOEXEC', 'EISDIR', 'ELOOP'].includes(code))
    return { exitCode: 126, why: 'not executable' };
  throw new PlatformError('unavailable', 'This machine cannot start a process now.', { cause: error });
}
