import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import type { Api, ComputeContract, StorageContract } from '@morpheo/common';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openMemoryBroker } from '@morpheo/service/broker';
import { createCallers, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openStorageService, type StorageServiceOptions } from '@morpheo/storage-api';

/** Long enough that nothing of the stored data runs out by itself. */
const CENTURY_MS = 100 * 365 * 24 * 3_600_000;
const CALLER = { name: 'ada', secret: 'a secret of the stored data, for tests alone' } as const;
const QUICK = { firstMs: 1, mostMs: 5, jitter: 0.25 } as const;

/** An address at which nobody answers. */
export const NOBODY = 'http://127.0.0.1:1';

/** The bytes of `owners` are bounded, so that their rows are there; nobody reaches the bounds. */
const QUOTAS = { bob: 1_000_000, carol: 2_000_000 } as const;

/** The two services on stored data, and their APIs over HTTP as a caller with every role. */
export interface StoredServices extends AsyncDisposable {
  readonly compute: Api<ComputeContract>;
  readonly storage: Api<StorageContract>;
  /** Reads every blob and compares its digest. */
  scrub(): Promise<void>;
  /** Closes storage-api before its neighbour. */
  closeStorage(): Promise<void>;
}

/** What the services are opened with. */
export interface OpenStored {
  /** Holds `compute.db` and the data folder `storage`. */
  readonly folder: string;
  /** Both services' rows; files of the folder where absent. */
  readonly database?: StorageServiceOptions['database'];
  /** False: compute-api cannot reach storage-api, so that nothing that is due happens. */
  readonly together: boolean;
  readonly orchestrator: string;
}

/** Opens compute-api and storage-api on a folder, so that nothing in it grows old. */
export async function openStored(options: OpenStored): Promise<StoredServices> {
  const { folder, database, together, orchestrator } = options;
  await using stack = new AsyncDisposableStack();
  const secretHash = await hashSecret(CALLER.secret, { isRandom: true });
  const callers = createCallers([{ name: CALLER.name, roles: ['admin'], secretHash }]);
  const common = { host: '127.0.0.1', port: 0, callers, version: 'stored', log: silentLog, database };
  const ages = { orphanGraceMs: CENTURY_MS, stagedMaxAgeMs: CENTURY_MS, uploadExpiryMs: CENTURY_MS };
  const storage = await openStorageService({
    ...common,
    dataFolder: join(folder, 'storage'),
    settings: { ...ages, quotas: QUOTAS, scrubEveryMs: null, scrubRate: 1_000_000_000 },
  });
  let open = true;
  const closeStorage = async (): Promise<void> => {
    if (open) await storage[Symbol.asyncDispose]();
    open = false;
  };
  stack.defer(closeStorage);
  const compute = stack.use(
    await openComputeService({
      ...common,
      database: database ?? { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker: stack.use(openMemoryBroker()),
      storage: { url: together ? storage.url : NOBODY, credentials: CALLER },
      orchestrator: { url: orchestrator },
      anonymousIntake: true,
      settings: {
        ...COMPUTE_DEFAULTS,
        ...{ leaseMs: CENTURY_MS, gpuPatienceMs: 1, attempts: 3, everyMs: 20 },
        ...{ retryBackOff: QUICK, effectBackOff: QUICK },
        retention: { ...COMPUTE_DEFAULTS.retention, ordersMs: null },
      },
    }),
  );
  const opened = stack.move();
  return {
    compute: computeClient({ url: compute.url, credentials: CALLER }),
    storage: storageClient({ url: storage.url, credentials: CALLER }),
    scrub: async () => void (await storage.scrub()),
    closeStorage,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
