import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PlatformError } from '@morpheo/common';
import type { RouteSetName } from '@morpheo/dicebox/config';
import { Secret } from '@morpheo/service/config';
import type { ServiceTools } from '@morpheo/service/lifecycle';
import type { PlatformConfig } from '../config.ts';
import type { Connection } from '../connection.ts';
import type { PlatformOptions } from '../platform.ts';
import { credentialEntries, readOrMakeSecrets } from '../secrets.ts';

/** The picture trainer of these sources. */
const TRAINER = fileURLToPath(new URL('../../../../programs/picture-trainer/bin/', import.meta.url));

/** What `--dicebox` adds to a platform. */
export interface DiceboxOfUp {
  /** The folder of the trainer's program; undefined where it is not installed. */
  readonly trainer: string | undefined;
  readonly open: NonNullable<PlatformOptions['beside']>[number];
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * What `--dicebox` adds to the platform that `morpheo up` starts; undefined where it is not given. Its further settings are
 * the variables of `dicebox`; its key is made with the secrets of the platform where they name none.
 */
export async function diceboxOf(
  config: PlatformConfig,
  env: Env,
  tools: Omit<ServiceTools, 'stack'>,
): Promise<DiceboxOfUp | undefined> {
  if (!config.dicebox) return undefined;
  const trainer = await trainerOf(config.trainer);
  if (trainer === undefined) {
    tools.log.warn(
      {},
      'The picture trainer is not installed, so nothing is trained or classified: make trainer',
    );
  }
  return { trainer, open: async (connection) => await openBeside(config, { env, connection }, tools) };
}

/** The folder of the program; undefined where the usual one has nothing that it needs. */
async function trainerOf(named: string | undefined): Promise<string | undefined> {
  if (named !== undefined) return named;
  return await access(join(TRAINER, '../node_modules')).then(
    () => TRAINER,
    () => undefined,
  );
}

/** Opens both services of dicebox on the platform of this process: pictures and trainings, and classification. */
async function openBeside(
  { home, diceboxPort, classificationPort }: PlatformConfig,
  { env, connection }: { readonly env: Env; readonly connection: Connection },
  tools: Omit<ServiceTools, 'stack'>,
) {
  // Loaded for those who want it: it brings native code along.
  const { loadConfig } = await import('@morpheo/dicebox/config');
  const { openDicebox } = await import('@morpheo/dicebox/start');
  const secrets = await readOrMakeSecrets(home);
  const others = (await credentialEntries(secrets)).filter(({ name }) => name === 'admin');
  await using stack = new AsyncDisposableStack();
  const open = async (
    port: number,
    serve: readonly RouteSetName[],
    more: Readonly<Record<string, string>> = {},
  ) => {
    const { compute, storage } = connection;
    const own = { host: '127.0.0.1', port, 'data-dir': join(home, 'dicebox'), compute, storage };
    const flags = Object.entries({ ...own, ...more, serve: serve.join(',') }).map(
      ([name, value]) => `--${name}=${value}`,
    );
    const loaded = loadConfig(
      flags,
      {
        // One person has this platform: what a terminal has imported, the key of the originals finds.
        ...{ MORPHEO_DICEBOX_API_USER: 'admin', MORPHEO_DICEBOX_API_KEY: secrets.dicebox },
        ...env,
      },
      { usual: undefined },
    );
    if (loaded.kind !== 'settings')
      throw new PlatformError('internal', 'The settings of dicebox are not known.');
    const password = new Secret(secrets.dicebox);
    const peers = {
      computeUser: 'dicebox',
      computePassword: password,
      storageUser: 'dicebox',
      storagePassword: password,
    };
    const log = tools.log.child({ service: `dicebox.${serve[0]}` });
    const opened = await openDicebox({ ...loaded.values, ...peers }, { ...tools, log, stack }, others);
    return { ...opened, key: loaded.values.apiKey?.reveal() };
  };
  const pictures = await open(diceboxPort, ['sensory', 'training']);
  // Its page stores pictures at the other one.
  const sensory = env.MORPHEO_DICEBOX_SENSORY ?? pictures.url;
  const classification = await open(classificationPort, ['classification'], { sensory });
  const moved = stack.move();
  return {
    tells: {
      dicebox: pictures.url,
      classification: classification.url,
      ...(pictures.key !== undefined && { api_key: pictures.key }),
    },
    drain: async () => void (await Promise.all([pictures.drain(), classification.drain()])),
    [Symbol.asyncDispose]: async () => await moved.disposeAsync(),
  };
}
