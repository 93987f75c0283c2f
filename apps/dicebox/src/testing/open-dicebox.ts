import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Api, type ComputeContract, PlatformError, type StorageContract } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { Secret } from '@morpheo/service/config';
import { silentLog } from '@morpheo/service/log';
import { ROUTE_SETS, settings } from '../config.ts';
import { DATABASE } from '../db/tables.ts';
import { type DiceboxServiceOptions, openDiceboxService } from '../service.ts';
import type { TrainingDefaults } from '../training/settings.ts';

/** The key of tests. */
export const KEY = '6e249b5f-b483-4e0d-b50b-81d95e3d9a59';

/** A version of each dialect. */
export const VERSION_OF = { '2017': '0.2.2', '2019': '0.3.0' } as const;

/** How trainings of tests are that do not say. */
export const TRAINING: TrainingDefaults = {
  ...{ trainNetwork: 'mlp', trainEpochs: 3, trainBatchSize: 8, trainHeldOut: 0.25, trainGpus: 0 },
};

/** A dicebox of a test. */
export interface TestDicebox extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  /** Sends a request with key and version of the dialect of 2019; `headers` win, and undefined leaves one out. */
  ask(
    path: string,
    options?: {
      readonly method?: string;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string | undefined>>;
    },
  ): Promise<Response>;
}

/** Opens a dicebox over HTTP on an embedded database, with peers that answer nothing unless they are given. */
export async function openDicebox(
  options: Partial<Omit<DiceboxServiceOptions, 'compute' | 'storage'>> & {
    readonly compute?: Partial<Api<ComputeContract>>;
    readonly storage?: Partial<Api<StorageContract>>;
  } = {},
): Promise<TestDicebox> {
  await using stack = new AsyncDisposableStack();
  const made = await mkdtemp(join(quickFolder(), 'dicebox-'));
  stack.defer(async () => await rm(made, { recursive: true }));
  const { compute = {}, storage = {}, ...rest } = options;
  const folder = rest.folder ?? made;
  const service = stack.use(
    await openDiceboxService({
      ...{ host: '127.0.0.1', port: 0, serve: ROUTE_SETS, folder, authenticate: null },
      database: { engine: 'sqlite', file: join(folder, DATABASE.file) },
      apiKey: { name: 'dicebox', key: new Secret(KEY) },
      classification: {
        ...{
          set: { name: 'greys', width: 4, height: 4 },
          rule: { adopt: 'better', margin: 0 },
          version: '0.3.0',
        },
        ...{ answerMs: 60_000, watchMs: 5 },
      },
      ...{ apiVersion: '0.3.0', versions: settings.versions.default, version: '0', log: silentLog },
      training: TRAINING,
      ...{ authenticate: async () => null, compute: peer(compute), storage: peer(storage) },
      ...rest,
    }),
  );
  const opened = stack.move();
  const { url } = service;
  return {
    ...{ url, folder },
    async ask(path, { method, body, headers = {} } = {}) {
      const all = {
        'API-ACCESS-KEY': KEY,
        'API-VERSION': VERSION_OF['2019'],
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      };
      const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
      return await fetch(`${url}${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: Object.fromEntries(given),
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** A peer that is away, but for the calls that are given. */
function peer<A extends object>(calls: Partial<A>): A {
  return new Proxy(calls, {
    get: (all, name) =>
      Reflect.get(all, name) ??
      (async () => {
        throw new PlatformError('unavailable', `The peer of this test does not know ${String(name)}.`);
      }),
    // What is absent is answered above.
  }) as A;
}
