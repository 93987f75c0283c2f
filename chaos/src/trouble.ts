import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '@morpheo/real-parts';
import type { FaultKind } from './faults.ts';

/** A fault that was made. */
export interface Fault {
  readonly kind: string;
  readonly target: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly mendedAt: number;
}

/** How faults are made. */
export interface Trouble {
  /** Between two, on average. */
  readonly everyMs: number;
  readonly most: number;
  readonly isOver: () => boolean;
  /** Gets each fault once it is mended. */
  readonly faults: Fault[];
}

/** Makes one fault after another until `isOver`; never two at one target. */
export async function makeTrouble(
  kinds: readonly FaultKind[],
  random: Random,
  { everyMs, isOver, most, faults }: Trouble,
): Promise<void> {
  const drawn = kinds.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));
  const mending = new Map<string, Promise<void>>();
  const unmended: unknown[] = [];
  while (!isOver() && faults.length < most && unmended.length === 0) {
    await sleep(random.between(0, everyMs * 2));
    const kind = random.pick(drawn);
    const target = random.pick(kind.targets);
    if (mending.has(target)) continue;
    const at = Date.now();
    const over = kind
      .strike(target, random)
      .catch((error: unknown) => unmended.push(new Error(`${kind.name} at ${target}`, { cause: error })))
      .then(() => {
        mending.delete(target);
        faults.push({ kind: kind.name, target, at, mendedAt: Date.now() });
      });
    mending.set(target, over);
  }
  await Promise.all(mending.values());
  if (unmended.length > 0) throw unmended[0];
}
