import type { Random } from '@morpheo/real-parts';
import { sleep } from '../parts/virtual-time.ts';
import type { Trace } from '../trace.ts';
import type { World } from '../world.ts';
import type { Faults } from './faults.ts';

/** How many faults of each kind were made. */
export type FaultCounts = Record<string, number>;

/** Makes trouble until `endsAt`: kills, freezes, cuts and set clocks, one after another, each mended after a while. */
export async function makeTrouble(
  world: World,
  { random, faults, trace, endsAt }: { random: Random; faults: Faults; trace: Trace; endsAt: number },
): Promise<FaultCounts> {
  const counts: FaultCounts = {};
  const mending: Promise<void>[] = [];
  const everyMs = random.between(2000, 30_000);
  const kinds: Readonly<Record<string, () => void>> = {
    kill: () => {
      const name = random.pick(world.processes);
      world.kill(name);
      mending.push(after(random.between(50, 40_000), async () => await world.start(name)));
    },
    freeze: () => {
      const name = random.pick(world.processes);
      world.freeze(name);
      mending.push(after(random.between(100, 90_000), async () => await world.start(name)));
    },
    cut: () => {
      const name = random.pick([...world.processes, 'broker', 'storage', 'orchestrator', 'compute']);
      trace.say(name, 'is cut off');
      faults.cut(name);
      mending.push(after(random.between(100, 60_000), async () => faults.mend(name)));
    },
    'set clock': () => {
      world.clock.offsetMs += random.between(-60_000, 60_000);
      trace.say('database', `has its clock set to ${Math.round(world.clock.offsetMs / 1000)} s off`);
    },
  };
  for (;;) {
    await sleep(random.between(0, everyMs * 2));
    if (Date.now() >= endsAt) break;
    const kind = random.pick(Object.keys(kinds));
    kinds[kind]?.();
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  await Promise.all(mending);
  return counts;
}

async function after(ms: number, work: () => Promise<void>): Promise<void> {
  await sleep(ms);
  await work();
}
