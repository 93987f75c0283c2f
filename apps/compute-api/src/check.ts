import { dirname, join } from 'node:path';
import { identify, reach, storageClient } from '@morpheo/client';
import { ANONYMOUS, type PinRequest, storageContract } from '@morpheo/common';
import {
  credentialsProbe,
  folderProbe,
  NOTHING,
  type Probe,
  type Probes,
  peerProbe,
  tlsProbe,
  traceProbes,
} from '@morpheo/service/check';
import { checkDatabase, readDatabasePlace } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import { openBroker, orchestratorOf, storageOf } from './clients.ts';
import type { ComputeConfig } from './config.ts';
import { migrations } from './db/migrations.ts';
import { isOurStorage } from './foreign/storage.ts';
import { DATABASE } from './service.ts';

/** What `--check` of compute-api asks. */
export function probesOf(config: ComputeConfig): Probes {
  const { dataDir, credentials, cert, key } = config;
  const orchestrator = orchestratorOf(config);
  return {
    ...(dataDir === undefined ? {} : { 'data folder': folderProbe(dataDir) }),
    ...(config.directoryCopy === undefined
      ? {}
      : { 'directory copy': folderProbe(dirname(config.directoryCopy)) }),
    ...(credentials === undefined ? {} : { credentials: credentialsProbe(credentials) }),
    ...(cert === undefined || key === undefined ? {} : { tls: tlsProbe(cert, key) }),
    database: { ask: async () => await askDatabase(config) },
    broker: brokerProbe(config),
    storage: config.foreignWorkers === true ? foreignStorageProbe(config) : storageProbe(config),
    ...(orchestrator === undefined ? {} : { orchestrator: orchestratorProbe(orchestrator.url) }),
    ...traceProbes(config),
  };
}

async function askDatabase(config: ComputeConfig): Promise<string> {
  const place = await readDatabasePlace(config, join(config.dataDir ?? '', DATABASE.file));
  return await checkDatabase(place, { owner: DATABASE.owner, migrations });
}

function brokerProbe(config: ComputeConfig): Probe {
  return {
    ask: async (signal) => {
      if (config.broker !== 'nsq') return 'none: workers ask by themselves';
      await using broker = await openBroker(config, silentLog);
      await broker.ping(signal);
      return 'nsq';
    },
    remedy: 'Orders are taken without it, too.',
  };
}

function storageProbe(config: ComputeConfig): Probe {
  const peer = storageOf(config);
  return peerProbe({
    url: peer.url,
    identify: async (signal) => await identify(storageContract, peer, signal),
    call: async (signal) => await storageClient(peer).pinOrders({ body: { orders: [NO_ORDER] } }, { signal }),
    flag: '--storage',
    credentials: '--storage-user, --storage-password',
  });
}

/** Beside workers of the originals, storage may be the originals' as well. */
function foreignStorageProbe(config: ComputeConfig): Probe {
  const peer = storageOf(config);
  const ours = storageProbe(config);
  return {
    ...ours,
    ask: async (signal) => {
      if (await isOurStorage(peer, signal)) return await ours.ask(signal);
      return `${peer.url}: none of Morpheo Compute, so what orders name is neither checked nor held`;
    },
  };
}

function orchestratorProbe(url: string): Probe {
  return {
    ask: async (signal) => {
      await reach(url, signal);
      return url;
    },
    remedy: 'Start it, or correct --orchestrator; orders are taken without it, and it is told later.',
  };
}

/** What storage refuses to pin, and keeps nothing of; that it answers shows that we may ask. */
const NO_ORDER: PinRequest = {
  ...{ order: NOTHING, round: 1, owner: ANONYMOUS, kind: 'predict' },
  uses: [{ type: 'problem', uuid: NOTHING, as: 'problem' }],
  produces: { type: 'prediction', uuid: NOTHING },
};
