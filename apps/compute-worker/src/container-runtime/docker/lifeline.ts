import { PlatformError } from '@morpheo/common';
import { pause } from '../../abort.ts';
import { type Container, UNKNOWN_EXIT } from './container.ts';
import type { Daemon } from './daemon.ts';

/** What {@link followToEnd} works with. */
export interface LifelineOptions {
  readonly daemon: Daemon;
  readonly container: Container;
  /** How long the daemon may be away, in milliseconds. */
  readonly reconnectMs: number;
  /** Called when the daemon is back and the container still runs. */
  readonly onBack: () => Promise<void>;
  readonly signal: AbortSignal;
}

const POLL_MS = 250;

/**
 * The exit code of a container, `exit` being the wait for it that was begun before its start. Should the daemon be
 * lost meanwhile, it is looked for again; a container that goes on is followed further.
 *
 * Throws `unavailable` where the daemon does not come back in time, or the container has not survived it: such an end
 * says nothing about the program.
 */
export async function followToEnd(exit: Promise<number>, options: LifelineOptions): Promise<number> {
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

async function again(options: LifelineOptions): Promise<{ readonly exit: Promise<number> }> {
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

async function back({ daemon, reconnectMs, signal }: LifelineOptions): Promise<void> {
  const end = performance.now() + reconnectMs;
  for (;;) {
    try {
      return await daemon.ping(signal);
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() > end) throw lost(daemon, error);
      await pause(POLL_MS, signal);
    }
  }
}

/** That a run is lost with its daemon. */
export function lost(daemon: Daemon, cause?: unknown): PlatformError {
  const message = `The Docker daemon at ${daemon.address} went away during a run, and the run with it.`;
  return new PlatformError('unavailable', message, { cause });
}
