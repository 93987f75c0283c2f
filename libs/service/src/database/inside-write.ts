import { AsyncLocalStorage } from 'node:async_hooks';

/** Set while a function given to `write` runs, and in whatever it starts. */
export const insideWrite = new AsyncLocalStorage<{ active: boolean }>();

/** Throws where a function given to `write` calls something that waits for that very write: it would wait for ever. */
export function refuseInsideWrite(what: string): void {
  if (insideWrite.getStore()?.active !== true) return;
  throw new Error(`A function given to write() called ${what}; use the transaction that it was given.`);
}
