import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import type { Random } from '@morpheo/real-parts';
import FakeTimers from '@sinonjs/fake-timers';

/** When every simulation begins: an hour that means nothing. */
const EPOCH = Date.UTC(2030, 0, 1);
const realImmediate = setImmediate;

/**
 * Runs a world in which time passes only when nothing is left to do at a moment: timers, clocks and chance are ours,
 * so the same seed makes the same things happen in the same order. Nothing real may be waited for inside. Rejects
 * where the world waits for something that cannot come any more.
 */
export async function inVirtualTime<T>(random: Random, world: () => Promise<T>): Promise<T> {
  const clock = FakeTimers.install({ now: EPOCH });
  const restore = takeOverChance(random);
  try {
    return await drive(clock, world());
  } finally {
    restore();
    clock.uninstall();
    syncBuiltinESMExports();
  }
}

async function drive<T>(clock: FakeTimers.Clock, world: Promise<T>): Promise<T> {
  let over = false;
  const ended = (): void => {
    over = true;
  };
  world.then(ended, ended);
  for (;;) {
    await new Promise((resolve) => realImmediate(resolve));
    if (over) return await world;
    if (clock.countTimers() === 0) throw new Error('The world waits for something that will never come.');
    clock.next();
  }
}

/** What of the platform draws at random, and what times out by itself, is made to follow the seed and the clock. */
function takeOverChance(random: Random): () => void {
  const real = { random: Math.random, uuid: crypto.randomUUID, timeout: AbortSignal.timeout };
  Math.random = random.next;
  crypto.randomUUID = () => random.uuid();
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('It took too long.', 'TimeoutError')), ms);
    return controller.signal;
  };
  syncBuiltinESMExports();
  return () => {
    Math.random = real.random;
    crypto.randomUUID = real.uuid;
    AbortSignal.timeout = real.timeout;
  };
}

/** Lets `ms` milliseconds pass. */
export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
