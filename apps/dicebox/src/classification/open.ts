import { DICEBOX_CLASSIFICATION, DICEBOX_CLASSIFICATION_V1, PlatformError } from '@morpheo/common';
import { type DiceboxParts, type OpenedRoutes, routeSet } from '../http/route-set.ts';

/** The classification service without its listener: its routes, and what it does by itself. */
export interface OpenedClassification extends OpenedRoutes {
  /** What `/ready` calls it. */
  readonly name: 'classification';
}

/** Opens the classification service; its networks are those of `parts.database`. */
export async function openClassification(_parts: DiceboxParts): Promise<OpenedClassification> {
  const missing = async (): Promise<never> => {
    throw new PlatformError('unavailable', 'This route has nothing behind it yet.');
  };
  return {
    name: 'classification',
    routes: routeSet(DICEBOX_CLASSIFICATION, DICEBOX_CLASSIFICATION_V1, {
      classify: missing,
      categories: missing,
      category: missing,
    }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
