import { DICEBOX_SENSORY, DICEBOX_SENSORY_V1, PlatformError } from '@morpheo/common';
import { type DiceboxParts, type OpenedRoutes, routeSet } from '../http/route-set.ts';

/** The sensory service without its listener: its routes, and what it does by itself. */
export interface OpenedSensory extends OpenedRoutes {
  /** What `/ready` calls it. */
  readonly name: 'sensory';
}

/** Opens the sensory service; its pictures are those of `parts.database`. */
export async function openSensory(_parts: DiceboxParts): Promise<OpenedSensory> {
  const missing = async (): Promise<never> => {
    throw new PlatformError('unavailable', 'This route has nothing behind it yet.');
  };
  return {
    name: 'sensory',
    routes: routeSet(DICEBOX_SENSORY, DICEBOX_SENSORY_V1, {
      sensoryCategories: missing,
      storePicture: missing,
      requestSamples: missing,
      orderBatch: missing,
      pollBatch: missing,
    }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
