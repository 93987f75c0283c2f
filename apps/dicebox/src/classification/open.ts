import { setLabel } from '@morpheo/common';
import { startLoop } from '@morpheo/service/lifecycle';
import type { DiceboxParts, OpenedRoutes } from '../http/route-set.ts';
import { classificationRoutes } from './handlers.ts';
import { InUse } from './in-use.ts';
import { Networks } from './networks.ts';
import { openPage } from './page.ts';
import { Watcher } from './watcher.ts';

/** Opens the routes of the classification service, and watches for networks. */
export async function openClassification(parts: DiceboxParts): Promise<OpenedRoutes> {
  const { database, compute, storage, log } = parts;
  const { set: key, owner, trainingsOf, rule, answerMs, watchMs, sensory, version } = parts.classification;
  const set = key && setLabel(key);
  const page = await openPage({ sensory, version, set: key });
  const networks = new Networks(database, set);
  const inUse = new InUse({ compute, answerMs });
  const watcher = new Watcher({ compute, storage, set, owner, trainingsOf, networks, inUse, rule, log });
  const loop = startLoop({
    name: 'networks',
    everyMs: watchMs,
    work: async () => await watcher.look(),
    log,
  });
  return {
    routes: classificationRoutes({
      compute,
      storage,
      set,
      owner,
      trainingsOf,
      networks,
      inUse,
      page,
      wake: () => loop.wake(),
    }),
    [Symbol.asyncDispose]: async () => await loop[Symbol.asyncDispose](),
  };
}
