import { randomFrom } from '@morpheo/real-parts';
import { brokenPromises, unsettled } from '../invariants.ts';
import { haveOrdersPosted } from '../load.ts';
import { inVirtualTime, sleep } from '../parts/virtual-time.ts';
import { watchPins } from '../pin-watch.ts';
import { openTrace } from '../trace.ts';
import { World } from '../world.ts';
import { OneFault, type Place, type PlannedFault } from './one-fault.ts';

/** What came of a life with one fault. */
export interface Life {
  /** How often each place was come to where something can go wrong. */
  readonly counts: Readonly<Record<Place, number>>;
  /** What happened to its orders, each once, sorted. */
  readonly happened: readonly string[];
  /** What of the promise did not hold; empty when all is well. */
  readonly broken: readonly string[];
  /** How long it took until nothing was left to do, in seconds of the world. */
  readonly seconds: number;
}

const ORDERS = 5;
const POSTED_WITHIN_MS = 20_000;
const MOST_MS = 900_000;

/**
 * Lives through a few orders that come to every kind of end, one of them on a worker that is killed meanwhile; one
 * thing goes wrong on the way, or nothing. Up to there the same seed lives the same life.
 */
export async function liveOnce(seed: number, planned?: PlannedFault): Promise<Life> {
  const random = randomFrom(seed);
  return await inVirtualTime(random, async () => {
    const trace = openTrace();
    const faults = new OneFault(random, planned);
    const world = await World.open({ random, faults, trace, computes: 1, workers: 2 });
    const start = Date.now();
    const pins = watchPins(world);
    const killed = killOnce(world);
    const order = { random, trace, api: world.api, orders: ORDERS, withinMs: POSTED_WITHIN_MS };
    const customers = await haveOrdersPosted(order);
    await killed;
    while ((await unsettled(world.database, customers)) > 0 && Date.now() - start < MOST_MS)
      await sleep(1000);
    const seconds = (Date.now() - start) / 1000;
    const { visible, toldFailed, holding } = world.storage;
    const { heard } = world.orchestrator;
    const rest = { database: world.database, visible, toldFailed, holding, heard };
    const broken = [...(await pins.end()), ...(await brokenPromises(rest, customers))];
    const events = await world.database.read.selectFrom('events').select('what').distinct().execute();
    const happened = events.map(({ what }) => what).sort((a, b) => (a < b ? -1 : 1));
    await world.close();
    return { counts: faults.counts, happened, broken, seconds };
  });
}

async function killOnce(world: World): Promise<void> {
  await sleep(POSTED_WITHIN_MS);
  world.kill('worker-0');
  await sleep(3000);
  await world.start('worker-0');
}
