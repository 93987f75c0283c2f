import { identify } from '@morpheo/client';
import { computeContract, storageContract } from '@morpheo/common';
import {
  credentialsProbe,
  folderProbe,
  NOTHING,
  type Probes,
  peerProbe,
  tlsProbe,
  traceProbes,
} from '@morpheo/service/check';
import { checkDatabase, readDatabasePlace } from '@morpheo/service/database';
import { computeOf, peersOf, storageOf } from './clients.ts';
import { type DiceboxConfig, databaseFileOf } from './config.ts';
import { DATABASE, migrations } from './db/tables.ts';

/** What `--check` of dicebox asks. */
export function probesOf(config: DiceboxConfig): Probes {
  const { dataDir, credentials, cert, key } = config;
  const [atCompute, atStorage] = [computeOf(config), storageOf(config)];
  const { compute, storage } = peersOf(atCompute, atStorage);
  return {
    ...(dataDir === undefined ? {} : { 'data folder': folderProbe(dataDir) }),
    ...(credentials === undefined ? {} : { credentials: credentialsProbe(credentials) }),
    ...(cert === undefined || key === undefined ? {} : { tls: tlsProbe(cert, key) }),
    database: {
      ask: async () => {
        const place = await readDatabasePlace(config, databaseFileOf(config));
        return await checkDatabase(place, { owner: DATABASE.owner, migrations });
      },
    },
    compute: peerProbe({
      url: atCompute.url,
      identify: async (signal) => await identify(computeContract, atCompute, signal),
      call: async (signal) => await compute.getOrder({ params: { id: NOTHING } }, { signal }),
      flag: '--compute',
      credentials: '--compute-user, --compute-password',
    }),
    storage: peerProbe({
      url: atStorage.url,
      identify: async (signal) => await identify(storageContract, atStorage, signal),
      call: async (signal) =>
        await storage.listOutputFiles({ params: { uuid: NOTHING }, query: {} }, { signal }),
      flag: '--storage',
      credentials: '--storage-user, --storage-password',
    }),
    ...traceProbes(config),
  };
}
