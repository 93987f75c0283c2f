import { type Life, liveOnce } from './live-once.ts';
import { PLACES, type Place, type PlannedFault } from './one-fault.ts';

/** What came of living the same life once for each thing that may go wrong in it. */
export interface EveryFault {
  /** How many faults were tried, by place. */
  readonly tried: Record<Place, number>;
  /** What was broken, each with the fault that did it. */
  readonly broken: string[];
  /** How much longer than without a fault it took at most until nothing was left to do, in seconds of the world. */
  readonly slowest: { seconds: number; fault: string };
}

/** The faults of a life, in the order of the places: each kind at each time that its place is come to. */
export function faultsOf({ counts }: Pick<Life, 'counts'>): PlannedFault[] {
  const places = Object.keys(PLACES) as Place[];
  return places.flatMap((place) =>
    Array.from({ length: counts[place] }, (_, index) => index + 1).flatMap((n) =>
      PLACES[place].map((kind) => ({ place, n, kind })),
    ),
  );
}

/** Lives the life of a seed with one fault after another: of `parts` parts of them the one at `part`. */
export async function tryEveryFault(seed: number, part = 0, parts = 1): Promise<EveryFault> {
  const calm = await liveOnce(seed);
  const all: EveryFault = {
    tried: { write: 0, publication: 0, notification: 0, call: 0, storage: 0 },
    broken: [...calm.broken],
    slowest: { seconds: 0, fault: '' },
  };
  for (const [index, fault] of faultsOf(calm).entries()) {
    if (index % parts !== part) continue;
    const name = `${fault.place} ${fault.n} ${fault.kind}`;
    const life = await liveOnce(seed, fault);
    all.tried[fault.place] += 1;
    all.broken.push(...life.broken.map((what) => `${name}: ${what}`));
    const seconds = life.seconds - calm.seconds;
    if (seconds > all.slowest.seconds) Object.assign(all.slowest, { seconds, fault: name });
  }
  return all;
}
