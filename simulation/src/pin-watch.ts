import type { World } from './world.ts';

/** How often pins are compared with orders, in milliseconds of the world. */
const EVERY_MS = 5000;

/** Looks on while a world lives. */
export interface PinWatch {
  /** Looks no more; resolves with what was wrong, a sentence each. Call it before the world is closed. */
  end(): Promise<readonly string[]>;
}

/**
 * Looks, all the time, whether storage holds what each order names that a worker may take or has: else somebody might
 * change it meanwhile, and the attempt could neither read it nor stage its result.
 */
export function watchPins(world: Pick<World, 'database' | 'storage'>): PinWatch {
  const broken = new Set<string>();
  let looking: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    for (const order of await unheld(world))
      broken.add(`${order} may run, and storage does not hold what it names`);
  };
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, EVERY_MS);
  return {
    async end() {
      clearInterval(timer);
      await looking;
      return [...broken];
    },
  };
}

async function unheld({ database, storage }: Pick<World, 'database' | 'storage'>): Promise<string[]> {
  const rows = await database.read
    .selectFrom('orders')
    .select('id')
    .where('status', 'in', ['todo', 'pending'])
    .execute();
  const held = new Set(storage.holding);
  // What is visible was let go of as it was published, and the order is done as soon as compute-api has heard that.
  return rows.flatMap(({ id }) => (held.has(id) || storage.visible.has(id) ? [] : id));
}
