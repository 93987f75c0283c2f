import { Secret } from '@morpheo/service/config';
import type { ServiceTools } from '@morpheo/service/lifecycle';
import type { ShepherdFile } from '@morpheo/service/shepherd';
import type { ShepherdConfig } from '@morpheo/shepherd-api/config';
import { openShepherd } from '@morpheo/shepherd-api/start';
import type { Connection } from '../connection.ts';
import type { Beside } from '../platform.ts';
import { readOrMakeSecrets } from '../secrets.ts';

/** The path at which compute-api tells of ends. */
const ENDS = '/v1/ended/';

/** What Shepherd's API is opened beside. */
export interface BesideParts {
  /** The data folder of the platform. */
  readonly folder: string;
  readonly connection: Connection;
  /** The configuration of Shepherd, where there is one. */
  readonly file: ShepherdFile | undefined;
}

/**
 * Opens Shepherd's API on the platform of this process. Throws `invalid_request` for a
 * configuration that cannot be followed.
 */
export async function openBeside(
  config: Omit<ShepherdConfig, 'compute' | 'storage'>,
  { folder, connection, file }: BesideParts,
  tools: Omit<ServiceTools, 'stack'>,
): Promise<Beside> {
  const password = new Secret((await readOrMakeSecrets(folder)).shepherd);
  const { compute, storage } = connection;
  await using stack = new AsyncDisposableStack();
  const { url, drain } = await openShepherd(
    {
      ...config,
      ...{ compute, computeUser: 'shepherd', computePassword: password },
      ...{ storage, storageUser: 'shepherd', storagePassword: password },
      callbackUrl: config.callbackUrl ?? loopbackOf(config),
    },
    file,
    { ...tools, log: tools.log.child({ service: 'shepherd-api' }), stack },
  );
  const opened = stack.move();
  return { tells: { shepherd: url }, drain, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

/** What compute-api has to allow as callbacks, so that it may tell of ends. */
export function callbacksOf(config: Pick<ShepherdConfig, 'host' | 'port' | 'cert' | 'callbackUrl'>): string {
  return `${(config.callbackUrl ?? loopbackOf(config)).replace(/\/$/, '')}${ENDS}`;
}

/** Where this process reaches what listens at `host`. */
function loopbackOf({ host, port, cert }: Pick<ShepherdConfig, 'host' | 'port' | 'cert'>): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `${cert === undefined ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
