import { DICEBOX_COMMON, type DiceboxDialect, VERSION } from '@morpheo/common';
import { type RouteSet, routeSet } from './route-set.ts';

/** What every service of dicebox answers. */
export function commonRoutes({
  dialect,
  apiVersion,
  isSensory,
}: {
  readonly dialect: DiceboxDialect;
  readonly apiVersion: string;
  /** The sensory service tells its own version, and that of the API as that of a library. */
  readonly isSensory: boolean;
}): RouteSet {
  const version =
    isSensory && dialect === '2019'
      ? { version: VERSION, 'dicebox lib version': apiVersion }
      : { version: apiVersion };
  return routeSet(
    DICEBOX_COMMON,
    {},
    {
      plainHealth: async () => ({
        status: DICEBOX_COMMON[dialect].plainHealth.status,
        headers: { 'content-type': 'text/html; charset=utf-8', 'content-length': '4' },
        body: new Blob(['true']).stream(),
      }),
      version: async () => version,
    },
  );
}
