import { join } from 'node:path';
import { DICEBOX_SENSORY, DICEBOX_SENSORY_V1 } from '@morpheo/common';
import { startLoop } from '@morpheo/service/lifecycle';
import { type DiceboxParts, type OpenedRoutes, routeSet } from '../http/route-set.ts';
import { Batches } from './batches.ts';
import { dialectRoutes } from './dialect-routes.ts';
import { Giving } from './giving.ts';
import { ownRoutes } from './own-routes.ts';
import { Packing } from './packing.ts';
import { Samples } from './samples.ts';
import { PictureSets } from './sets.ts';
import { ShardFiles } from './shard-files.ts';
import { PictureSnapshots, type Snapshots } from './snapshots.ts';
import { LabelledSets } from './views.ts';

/** How often it is looked for what there is to pack, and to forget, beside when pictures come. */
const EVERY_MS = 60_000;

/** The sensory service without its listener: its routes, and what it does by itself. */
export interface OpenedSensory extends OpenedRoutes {
  /** What `/ready` calls it. */
  readonly name: 'sensory';
}

/** Opens the sensory service; its pictures are those of `parts.database`. */
export async function openSensory(parts: DiceboxParts): Promise<OpenedSensory> {
  const { database, storage, log, folder, pictureSet } = parts;
  await using stack = new AsyncDisposableStack();
  const files = stack.use(await ShardFiles.open({ folder: join(folder, 'pixels'), storage, log }));
  const batches = await Batches.open(database);
  const giving = stack.use(new Giving(batches, log));
  const packing = new Packing({ database, storage, log });
  const work = async (signal: AbortSignal) => {
    await packing.full(signal);
    await batches.sweep();
    await packing.sweep(signal);
  };
  const loop = stack.use(startLoop({ name: 'pictures into shards', everyMs: EVERY_MS, work, log }));
  const made = {
    ...{ database, storage, batches, giving },
    sets: new PictureSets(database, pictureSet),
    snapshots: new PictureSnapshots(database, packing),
    samples: new Samples(database, files),
    labelled: new LabelledSets(database),
    wakePacking: () => loop.wake(),
  };
  const opened = stack.move();
  return {
    name: 'sensory',
    routes: routeSet(DICEBOX_SENSORY, DICEBOX_SENSORY_V1, { ...dialectRoutes(made), ...ownRoutes(made) }),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** The pictures of this service, as trainings take them; the sets too, by their names. */
export function picturesOf({
  database,
  storage,
  log,
  pictureSet,
}: Pick<DiceboxParts, 'database' | 'storage' | 'log' | 'pictureSet'>): {
  readonly sets: PictureSets;
  readonly snapshots: Snapshots;
} {
  const packing = new Packing({ database, storage, log });
  return { sets: new PictureSets(database, pictureSet), snapshots: new PictureSnapshots(database, packing) };
}
