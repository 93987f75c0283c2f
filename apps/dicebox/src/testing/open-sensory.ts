import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Principal } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { onEngines } from '@morpheo/service/database/testing';
import { silentLog } from '@morpheo/service/log';
import { openStorageService, type StorageService } from '@morpheo/storage-api';
import test, { type ExecutionContext } from 'ava';
import { type Peers, peersOf } from '../clients.ts';
import type { Schema } from '../db/schema.ts';
import { DATABASE, migrations } from '../db/tables.ts';
import { KEY_ROLES } from '../http/keys.ts';
import { openDicebox, type TestDicebox } from './open-dicebox.ts';

/** Who calls in tests beside the holder of the key, each with the secret `secret`. */
const CALLERS: readonly Principal[] = [
  { name: 'dicebox', roles: KEY_ROLES },
  { name: 'ann', roles: ['uploader', 'reader'] },
  { name: 'root', roles: ['admin'] },
];

/** The header of a caller on routes of our own. */
export function as(name: 'dicebox' | 'ann' | 'root') {
  return { headers: { authorization: `Bearer ${name}.secret` } };
}

/** Storage-api in a folder of its own, where everybody may do everything, and a client of it. */
export async function openStorage(): Promise<StorageService & { readonly calls: Peers['storage'] }> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'dicebox-storage-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const service = stack.use(
    await openStorageService({
      ...{ host: '127.0.0.1', port: 0, dataFolder: folder, callers: null, version: '0', log: silentLog },
    }),
  );
  const opened = stack.move();
  const calls = peersOf({ url: service.url }, { url: service.url }).storage;
  return { ...service, calls, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

/** A sensory service of a test, with a storage-api of its own. */
export interface TestSensory extends TestDicebox {
  readonly storage: Peers['storage'];
  /** The JSON of an answer that has this status. */
  json<T>(status: number, ...asked: Parameters<TestDicebox['ask']>): Promise<T>;
}

/** Opens a sensory service; see {@link testOnEngines}. */
export type OpenSensory = (options?: Parameters<typeof openDicebox>[0]) => Promise<TestSensory>;

/** Registers tests on each engine; see {@link testOnEngines}. */
export const everywhere = onEngines<Schema>(test, { owner: DATABASE.owner, migrations });

/** Registers a test for each engine that the machine has; the test opens its services by what it is given. */
export function testOnEngines(
  title: string,
  run: (t: ExecutionContext, open: OpenSensory) => Promise<void>,
): void {
  everywhere(title, async (t, engine) => {
    await using stack = new AsyncDisposableStack();
    const place = stack.use(await engine.place());
    const storage = stack.use(await openStorage());
    await run(t, async (options) => {
      const dicebox = await openDicebox({
        ...{ database: place.database, storage: storage.calls, serve: ['sensory'] },
        authenticate: async (field) => CALLERS.find(({ name }) => field === `Bearer ${name}.secret`) ?? null,
        ...options,
      });
      return {
        ...dicebox,
        storage: storage.calls,
        async json(status, ...asked) {
          const answer = await dicebox.ask(...asked);
          const text = await answer.text();
          t.is(answer.status, status, `${asked[0]}: ${text}`);
          // The test says what it expects, and looks at it.
          return JSON.parse(text);
        },
      };
    });
  });
}
