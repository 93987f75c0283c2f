import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { ServiceTools } from '@morpheo/service/lifecycle';
import { readShepherdFile } from '@morpheo/service/shepherd';
import type { PlatformConfig } from '../config.ts';
import type { Connection } from '../connection.ts';
import type { PlatformOptions } from '../platform.ts';
import { callbacksOf, openBeside } from './beside.ts';
import { loadConfig } from './config.ts';
import { partsOf } from './parts.ts';

/** The flag without a value. */
const NO_FILE = 'true';

/** What `--shepherd` adds to a platform. */
export interface ShepherdOfUp {
  /** The URL below which compute-api tells it of ends. */
  readonly callbacks: string;
  readonly parts: Pick<PlatformOptions, 'openRuntime' | 'slots' | 'worker'>;
  readonly open: NonNullable<PlatformOptions['beside']>[number];
}

/**
 * What `--shepherd` adds to the platform that `morpheo up` starts; undefined where it is not given. Its further settings
 * are the variables of `shepherd`. Throws `invalid_request` for a configuration that cannot be followed.
 */
export async function shepherdOf(
  { shepherd, shepherdPort, home }: PlatformConfig,
  env: Readonly<Record<string, string | undefined>>,
  tools: Omit<ServiceTools, 'stack'>,
): Promise<ShepherdOfUp | undefined> {
  if (shepherd === undefined) return undefined;
  const path = shepherd === NO_FILE ? undefined : shepherd;
  const own = ['--host=127.0.0.1', `--port=${shepherdPort}`, `--data-dir=${join(home, 'shepherd')}`];
  const loaded = loadConfig(path === undefined ? own : [...own, `--config=${path}`], env);
  if (loaded.kind !== 'settings')
    throw new PlatformError('internal', 'The settings of Shepherd are not known.');
  const { values } = loaded;
  const file = path === undefined ? undefined : await readShepherdFile(path, env);
  return {
    callbacks: callbacksOf(values),
    parts: partsOf(file, values, { env, log: tools.log }),
    open: async (connection: Connection) =>
      await openBeside(values, { folder: home, connection, file }, tools),
  };
}
