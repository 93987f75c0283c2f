import { DICEBOX_TRAINING, DICEBOX_TRAINING_V1, PlatformError } from '@morpheo/common';
import { type DiceboxParts, type OpenedRoutes, routeSet } from '../http/route-set.ts';

/** The training service without its listener: its routes, and what it does by itself. */
export interface OpenedTraining extends OpenedRoutes {
  /** What `/ready` calls it. */
  readonly name: 'training';
}

/** Opens the training service; its trainings are those of `parts.database`. */
export async function openTraining(_parts: DiceboxParts): Promise<OpenedTraining> {
  const missing = async (): Promise<never> => {
    throw new PlatformError('unavailable', 'This route has nothing behind it yet.');
  };
  return {
    name: 'training',
    routes: routeSet(DICEBOX_TRAINING, DICEBOX_TRAINING_V1, {
      requestTraining: missing,
    }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
