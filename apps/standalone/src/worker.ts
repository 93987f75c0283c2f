import { abortable, PlatformError, retry } from '@morpheo/common';
import type { Worker } from '@morpheo/compute-worker';
import type { Log } from '@morpheo/service/log';

/** The platform's own worker, started again whenever it has stopped by itself. */
export interface KeptWorker extends AsyncDisposable {
  /** Throws `unavailable` while the worker takes no orders. */
  ping(): Promise<void>;
  /** Takes no new order, and resolves when what runs has ended or was given back. */
  drain(): Promise<void>;
}

/** Between two starts of a worker that others take over from again and again, in milliseconds. */
const PAUSES = { firstMs: 1000, mostMs: 30_000, jitter: 0.25 } as const;

/**
 * Starts a worker and keeps one running: where another process takes over its id, it stops, and a new one registers in
 * its place. Nobody else looks after the worker of an embedded platform. Throws what the first start throws.
 */
export async function keepWorker(start: () => Promise<Worker>, log: Log): Promise<KeptWorker> {
  let worker: Worker | undefined = await start();
  const closing = new AbortController();
  const { signal } = closing;
  const startAgain = async (cause: unknown) => {
    log.error({ error: cause }, 'The worker of this platform has stopped; it is started again');
    await worker?.[Symbol.asyncDispose]();
    worker = undefined;
    await retry(
      async () => {
        worker = await start();
      },
      { ...PAUSES, retryIf: () => true, onRetry: (error) => log.warn({ error }, 'No worker starts'), signal },
    );
  };
  const keeping = (async () => {
    while (!signal.aborted) {
      try {
        await abortable(worker?.stopped ?? Promise.resolve(), signal);
        return;
      } catch (cause) {
        if (!signal.aborted) await startAgain(cause);
      }
    }
  })().catch(() => undefined);
  return {
    async ping() {
      if (worker === undefined)
        throw new PlatformError('unavailable', 'The worker has stopped; it is started again.');
      await worker.ping();
    },
    drain: async () => {
      closing.abort();
      await keeping;
      await worker?.drain();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await keeping;
      await worker?.[Symbol.asyncDispose]();
    },
  };
}
