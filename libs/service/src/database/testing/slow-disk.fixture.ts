import type { OpenDatabase } from '../database.ts';
import { type OpenSqlite, openSqlite } from '../index.ts';
import type { SlowDisk } from './conformance-driver.ts';
import { temporaryPlace } from './temporary-place.fixture.ts';

/** A disk that takes the log of writes when a test says so; `logPages` makes that small. */
export async function slowDisk(options: Pick<OpenSqlite, 'logPages'> = {}): Promise<SlowDisk> {
  const place = await temporaryPlace();
  let gate: { readonly asked: () => void; readonly taken: PromiseWithResolvers<void> } | undefined;
  let asked = 0;
  async function syncFile(_descriptor: number, file: string): Promise<void> {
    if (!file.endsWith('-wal')) return;
    asked += 1;
    gate?.asked();
    await gate?.taken.promise;
  }
  return {
    get asked() {
      return asked;
    },
    open: async (about: OpenDatabase) =>
      await openSqlite({ file: place.file, syncFile, ...options, ...about }),
    async hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = { asked: resolve, taken: Promise.withResolvers<void>() };
      await promise;
    },
    take() {
      gate?.taken.resolve();
      gate = undefined;
    },
    fail: (reason) => gate?.taken.reject(reason),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}
