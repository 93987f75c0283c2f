import { randomFrom } from '@morpheo/real-parts';
import { type FaultCounts, makeTrouble } from './faults/fault-injector.ts';
import { drawProfile, Faults, type Profile } from './faults/faults.ts';
import { brokenPromises, unsettled } from './invariants.ts';
import { haveOrdersPosted } from './load.ts';
import { inVirtualTime, sleep } from './parts/virtual-time.ts';
import { watchPins } from './pin-watch.ts';
import { openTrace } from './trace.ts';
import { World } from './world.ts';

/** What came of one seed. */
export interface Outcome {
  readonly seed: number;
  readonly orders: number;
  readonly faults: FaultCounts;
  readonly staleCalls: number;
  /** From the last fault to the moment when nothing was left to do, in seconds of the world. */
  readonly recoverySeconds: number;
  /** What of the promise did not hold; empty when all is well. */
  readonly broken: readonly string[];
  readonly trace: readonly string[];
}

/** How long the trouble lasts, and how long the world may take to come to rest after it, in milliseconds. */
const TROUBLE_MS = 90_000;
const REST_MS = 900_000;

/**
 * Lives through one world: trouble while orders come in, then rest, then the account. The same seed makes the same
 * world; `profile` takes the place of what the seed draws.
 */
export async function simulate(seed: number, profile: Partial<Profile> = {}): Promise<Outcome> {
  const random = randomFrom(seed);
  return await inVirtualTime(random, async () => {
    const trace = openTrace();
    const faults = new Faults({ ...drawProfile(random), ...profile }, random);
    const [computes, workers] = [random.pick([1, 2]), random.pick([1, 2, 3])];
    const world = await World.open({ random, faults, trace, computes, workers });
    const pins = watchPins(world);
    const orders = random.pick([1, 3, 6, 10]);
    const endsAt = Date.now() + TROUBLE_MS;
    const [customers, counts] = await Promise.all([
      haveOrdersPosted({ random, trace, api: world.api, orders, withinMs: TROUBLE_MS }),
      makeTrouble(world, { random, faults, trace, endsAt }),
    ]);
    faults.end();
    await world.startAll();
    trace.say('world', 'has no faults any more');
    const calmSince = Date.now();
    while ((await unsettled(world.database, customers)) > 0 && Date.now() - calmSince < REST_MS)
      await sleep(1000);
    const recoverySeconds = (Date.now() - calmSince) / 1000;
    const { visible, toldFailed, holding } = world.storage;
    const { heard } = world.orchestrator;
    const rest = { database: world.database, visible, toldFailed, holding, heard };
    const broken = [...(await pins.end()), ...(await brokenPromises(rest, customers))];
    await world.close();
    return {
      seed,
      orders,
      faults: counts,
      staleCalls: world.staleCalls,
      recoverySeconds,
      broken,
      trace: trace.lines(),
    };
  });
}
