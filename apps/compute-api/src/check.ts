import { dirname, join } from 'node:path';
import { identify, reach, storageClient } from '@morpheo/client';
import {
  ANONYMOUS,
  isPlatformError,
  type PinRequest,
  PlatformError,
  storageContract,
  type Ticket,
} from '@morpheo/common';
import {
  credentialsProbe,
  folderProbe,
  NOTHING,
  type Probe,
  type Probes,
  peerProbe,
  ticketKeysProbe,
  tlsProbe,
  traceProbes,
} from '@morpheo/service/check';
import { checkDatabase, readDatabasePlace } from '@morpheo/service/database';
import { openTicketKeys, ticketSigner } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openBroker, orchestratorOf, storageOf } from './clients.ts';
import type { ComputeConfig } from './config.ts';
import { migrations } from './db/migrations.ts';
import { isOurStorage } from './foreign/storage.ts';
import { DATABASE } from './service.ts';

/** What `--check` of compute-api asks. */
export function probesOf(config: ComputeConfig): Probes {
  const { dataDir, credentials, cert, key, ticketKeyFile } = config;
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
    ...(ticketKeyFile === undefined ? {} : { 'ticket keys': ticketProbe(config, ticketKeyFile) }),
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

/** Whether the keys of tickets are as the start needs them, and storage knows the one that signs. */
function ticketProbe(config: ComputeConfig, file: string): Probe {
  const { url } = storageOf(config);
  const keys = ticketKeysProbe(file);
  return {
    ask: async (signal) => {
      const found = await keys.ask(signal);
      const isThere = await identify(storageContract, { url }, signal).then(
        () => true,
        () => false,
      );
      // That storage is away, or none of ours, is told on its own line.
      if (!isThere) return `${found}; storage-api could not be asked whether it knows them`;
      await showTicket(url, file, signal);
      return `${found}; storage-api knows the one that signs`;
    },
  };
}

/** Shows storage a ticket for no order. Throws `unauthenticated` where it does not know who signed it. */
async function showTicket(url: string, file: string, signal: AbortSignal): Promise<void> {
  const sign = ticketSigner(await openTicketKeys(file, () => undefined));
  const token = await sign(NO_TICKET, new Date(Date.now() + 60_000));
  const place = { params: { type: 'problem', uuid: NOTHING } } as const;
  try {
    await storageClient({ url, token: () => token }).get(place, { signal });
  } catch (cause) {
    if (isPlatformError(cause, 'unauthenticated')) {
      const message = 'storage-api does not know our ticket key: give both the same --ticket-key-file.';
      throw new PlatformError('unauthenticated', message, { cause });
    }
    if (!isPlatformError(cause, 'not_found', 'stale_attempt', 'forbidden')) throw cause;
  }
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

/** What opens nothing: there is no such order. */
const NO_TICKET: Ticket = {
  ...{ order: NOTHING, attempt: 1, pin: '0'.repeat(64) },
  produces: { type: 'prediction', uuid: NOTHING },
};
