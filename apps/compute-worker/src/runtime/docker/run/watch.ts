import { PlatformError, retry, sleep } from '@morpheo/common';
import { onWallLimit, type RunState } from '../../run-state.ts';
import { type Container, UNKNOWN_EXIT } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import type { RunData } from '../data/transport.ts';
import type { ContainerUsage } from './usage.ts';

/** What {@link watchContainer} watches. */
export interface Watched {
  readonly daemon: Daemon;
  readonly container: Container;
  readonly data: Pick<RunData, 'isBeyond'>;
  /** What is left of the time of the wall clock, in milliseconds. */
  readonly wallMs: number;
  readonly usage: ContainerUsage;
  /** How long the daemon may answer nothing, in milliseconds. */
  readonly silenceMs: number;
  /** Is ended when a limit is passed, and fails when watching does. */
  readonly state: RunState;
}

/** How often a daemon that is lost is looked for. */
const POLL_MS = 250;
const DISK_MS = 250;
const MEASURE_MS = 1000;
/** Short runs are to have figures as well. */
const FIRST_MEASURES_MS = [30, 100, 300];
/** A look may take this part of the time between two looks: 1/10. */
const LOOK_SHARE = 10;

/** Watches a container that runs until `stop`; never rejects. */
export async function watchContainer(watched: Watched, stop: AbortSignal): Promise<void> {
  const { wallMs, state } = watched;
  using _limit = onWallLimit(wallMs, () => state.end({ kind: 'limit', ended: 'timed_out' }));
  await Promise.all([measureUse(watched, stop), watchDisk(watched, stop)]);
}

async function watchDisk({ data, state }: Watched, stop: AbortSignal): Promise<void> {
  await repeat(stop, state, [DISK_MS], async () => {
    const isBeyond = await data.isBeyond();
    if (isBeyond) state.end({ kind: 'limit', ended: 'disk_full' });
    return !isBeyond;
  });
}

async function measureUse(
  { daemon, container, usage, silenceMs, state }: Watched,
  stop: AbortSignal,
): Promise<void> {
  let heardAt = performance.now();
  await repeat(stop, state, [...FIRST_MEASURES_MS, MEASURE_MS], async () => {
    try {
      // A busy daemon may answer late, with what it saw when it was asked.
      const askedAt = performance.now();
      usage.add(await container.stats(stop), askedAt);
      heardAt = performance.now();
    } catch (error) {
      stop.throwIfAborted();
      if (isAnswer(error)) heardAt = performance.now();
      // A connection may go silent without breaking: then nobody else would ever find out.
      if (performance.now() - heardAt <= silenceMs) return true;
      state.fail(lost(daemon, error));
      return false;
    }
    return true;
  });
}

/** Does a look again and again, after each of the pauses and then after the last, while it returns true. */
async function repeat(
  stop: AbortSignal,
  state: RunState,
  pausesMs: readonly number[],
  look: () => Promise<boolean>,
): Promise<void> {
  let cost = 0;
  try {
    for (let turn = 0; ; turn += 1) {
      await sleep(Math.max(pausesMs[turn] ?? pausesMs.at(-1) ?? 0, cost * LOOK_SHARE), stop);
      const start = performance.now();
      if (!(await look())) return;
      cost = performance.now() - start;
    }
  } catch (error) {
    if (stop.aborted) return;
    const message = 'A run could not be watched.';
    state.fail(error instanceof Error ? error : new PlatformError('internal', message, { cause: error }));
  }
}

/** What {@link followToEnd} works with. */
export interface Followed {
  readonly daemon: Daemon;
  readonly container: Container;
  /** How long the daemon may be away, in milliseconds. */
  readonly reconnectMs: number;
  /** Called when the daemon is back and the container still runs. */
  readonly onBack: () => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * The exit code of a container, `exit` being the wait for it that was begun before its start. Should the daemon be
 * lost meanwhile, it is looked for again; a container that goes on is followed further.
 *
 * Throws `unavailable` where the daemon does not come back in time, or the container has not survived it: such an end
 * says nothing about the program.
 */
export async function followToEnd(exit: Promise<number>, options: Followed): Promise<number> {
  let waiting = exit;
  for (;;) {
    try {
      return await waiting;
    } catch {
      options.signal.throwIfAborted();
      waiting = (await again(options)).exit;
    }
  }
}

async function again(options: Followed): Promise<{ readonly exit: Promise<number> }> {
  const { daemon, container, onBack, signal } = options;
  await back(options);
  const state = await container.inspect().catch((error: unknown) => {
    throw lost(daemon, error);
  });
  if (state.running) {
    const wait = await container.wait('not-running', signal);
    await onBack();
    return wait;
  }
  // A daemon that keeps its containers knows how they ended; of others, the daemon's own end was theirs as well.
  const { keepsContainers } = await daemon.facts();
  const isKnown = state.started && state.exitCode !== UNKNOWN_EXIT;
  if (keepsContainers && isKnown) return { exit: Promise.resolve(state.exitCode) };
  throw lost(daemon);
}

async function back({ daemon, reconnectMs, signal }: Followed): Promise<void> {
  const end = performance.now() + reconnectMs;
  const every = { firstMs: POLL_MS, mostMs: POLL_MS, jitter: 0 };
  const retryIf = () => performance.now() <= end;
  try {
    await retry(async () => await daemon.ping(signal), { ...every, retryIf, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw lost(daemon, error);
  }
}

/** That a run is lost with its daemon. */
export function lost(daemon: Daemon, cause?: unknown): PlatformError {
  const message = `The Docker daemon at ${daemon.address.text} went away during a run, and the run with it.`;
  return new PlatformError('unavailable', message, { cause });
}
