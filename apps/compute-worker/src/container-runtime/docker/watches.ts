import { PlatformError } from '@morpheo/common';
import { pause } from '../../abort.ts';
import type { RunLimits, RunResult } from '../index.ts';
import { onWallLimit } from '../wall-limit.ts';
import type { Container } from './container.ts';
import { isAnswer } from './daemon-error.ts';
import type { RunData } from './data.ts';
import type { ContainerUsage } from './usage.ts';

/** What {@link watchContainer} watches, and whom it tells. */
export interface Watched {
  readonly container: Container;
  readonly data: Pick<RunData, 'isBeyond'>;
  readonly limits: RunLimits;
  readonly usage: ContainerUsage;
  /** How long the daemon may answer nothing, in milliseconds. */
  readonly silenceMs: number;
  readonly onLimit: (ended: Exclude<RunResult['ended'], 'exited'>) => void;
  readonly onError: (error: unknown) => void;
  readonly onSilence: (error: unknown) => void;
}

const DISK_MS = 250;
const MEASURE_MS = 1000;
/** Short runs are to have figures as well. */
const FIRST_MEASURES_MS = [30, 100, 300];
/** A look may take this part of the time between two looks: 1/10. */
const LOOK_SHARE = 10;

/** Watches a container that runs until `stop`; never rejects. */
export async function watchContainer(watched: Watched, stop: AbortSignal): Promise<void> {
  const { limits, onLimit } = watched;
  using _limit = onWallLimit(limits.wallMs, () => onLimit('timed_out'));
  await Promise.all([measureUse(watched, stop), watchDisk(watched, stop)]);
}

async function watchDisk({ data, onLimit, onError }: Watched, stop: AbortSignal): Promise<void> {
  await repeat(stop, onError, [DISK_MS], async () => {
    const isBeyond = await data.isBeyond();
    if (isBeyond) onLimit('disk_full');
    return !isBeyond;
  });
}

async function measureUse(
  { container, usage, silenceMs, onError, onSilence }: Watched,
  stop: AbortSignal,
): Promise<void> {
  let heardAt = performance.now();
  await repeat(stop, onError, [...FIRST_MEASURES_MS, MEASURE_MS], async () => {
    try {
      usage.add(await container.stats(stop));
      heardAt = performance.now();
    } catch (error) {
      stop.throwIfAborted();
      if (isAnswer(error)) heardAt = performance.now();
      // A connection may go silent without breaking: then nobody else would ever find out.
      if (performance.now() - heardAt <= silenceMs) return true;
      onSilence(error);
      return false;
    }
    return true;
  });
}

/** Does a look again and again, after each of the pauses and then after the last, while it returns true. */
async function repeat(
  stop: AbortSignal,
  onError: (error: unknown) => void,
  pausesMs: readonly number[],
  look: () => Promise<boolean>,
): Promise<void> {
  let cost = 0;
  try {
    for (let turn = 0; ; turn += 1) {
      await pause(Math.max(pausesMs[turn] ?? pausesMs.at(-1) ?? 0, cost * LOOK_SHARE), stop);
      const start = performance.now();
      if (!(await look())) return;
      cost = performance.now() - start;
    }
  } catch (error) {
    if (stop.aborted) return;
    onError(
      error instanceof Error
        ? error
        : new PlatformError('internal', 'A run could not be watched.', { cause: error }),
    );
  }
}
