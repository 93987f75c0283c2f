import { type Architecture, architectureOf, retry } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime } from '../runtime/index.ts';

/** What {@link findArchitecture} works with. */
export interface ArchitectureSearch {
  readonly runtime: Pick<ContainerRuntime, 'machine'>;
  readonly log: Log;
  /** After how long a runtime that does not answer is asked again for the first time, in milliseconds; 1,000 where absent. */
  readonly firstMs?: number;
}

/** The architecture of what a worker runs; disposing it ends a search that still goes on. */
export interface FoundArchitecture extends AsyncDisposable {
  /** Undefined until it is known, and where the runtime cannot tell. */
  readonly name: Architecture | undefined;
  /** Resolves when it was found after the first look; never where that does not happen. */
  readonly late: Promise<void>;
}

/**
 * Asks a runtime for the architecture of what it runs. One that does not answer yet, since it is started together with the
 * worker, is asked in the background until it does.
 */
export async function findArchitecture(search: ArchitectureSearch): Promise<FoundArchitecture> {
  const { runtime, log, firstMs = 1000 } = search;
  const stop = new AbortController();
  const late = Promise.withResolvers<void>();
  let name: Architecture | undefined;
  const ask = async () => {
    const machine = await runtime.machine?.(AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)]));
    name = machine === undefined ? undefined : architectureOf(machine);
    if (machine !== undefined && name === undefined)
      log.warn({ machine }, 'Nobody knows this architecture: orders that need one do not come here');
  };
  const isFound = await ask().then(
    () => true,
    () => false,
  );
  const pauses = { firstMs, mostMs: 30_000, jitter: 0.25 };
  const searching = isFound
    ? Promise.resolve()
    : retry(ask, { ...pauses, retryIf: () => true, signal: stop.signal }).then(() => late.resolve());
  searching.catch(() => undefined);
  return {
    get name() {
      return name;
    },
    late: late.promise,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await searching.catch(() => undefined);
    },
  };
}
