import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { computeClient, identify, storageClient } from '@morpheo/client';
import { computeContract, storageContract } from '@morpheo/common';
import {
  folderProbe,
  NOTHING,
  type Probe,
  type Probes,
  peerProbe,
  traceProbes,
} from '@morpheo/service/check';
import { withoutCredentials } from '@morpheo/service/config';
import { silentLog } from '@morpheo/service/log';
import { openConnections } from './buckets/index.ts';
import { computeOf, openBroker, storageOf } from './clients.ts';
import type { WorkerConfig } from './config/config.ts';
import { openRuntime } from './config/open-runtime.ts';
import { WORKER_FOLDERS } from './worker.ts';

/** What `--check` of the worker asks. */
export function probesOf(config: WorkerConfig): Probes {
  const compute = computeOf(config);
  const storage = storageOf(config);
  const params = { type: 'model', uuid: NOTHING } as const;
  const broker = config.nsqd !== undefined || config.nsqlookupdUrls !== undefined;
  return {
    'data folder': folderProbe(config.dataDir, WORKER_FOLDERS),
    'compute-api': peerProbe({
      url: compute.url,
      identify: async (signal) => await identify(computeContract, compute, signal),
      call: async (signal) => await computeClient(compute).getQueue({}, { signal }),
      flag: '--compute',
      credentials: '--compute-user, --compute-password',
    }),
    'storage-api': peerProbe({
      url: storage.url,
      identify: async (signal) => await identify(storageContract, storage, signal),
      call: async (signal) => await storageClient(storage).get({ params }, { signal }),
      flag: '--storage',
      credentials: '--storage-user, --storage-password',
    }),
    ...(broker ? { broker: brokerProbe(config) } : {}),
    runtime: runtimeProbe(config),
    ...(config.buckets === undefined ? {} : { buckets: bucketsProbe(config.buckets) }),
    ...traceProbes(config),
  };
}

function brokerProbe(config: WorkerConfig): Probe {
  return {
    ask: async (signal) => {
      await using broker = await openBroker(config, silentLog);
      await broker?.ping(signal);
      return 'nsq';
    },
    remedy: 'Orders are found by asking without it, too.',
  };
}

function bucketsProbe(path: string): Probe {
  return {
    ask: async (signal) => {
      await using stack = new AsyncDisposableStack();
      const connections = await openConnections(path, { log: silentLog, stack });
      await connections.check(signal);
      return connections.names.join(', ');
    },
    remedy: 'Jobs that name it are tried again, and fail after the last attempt; other orders are done.',
  };
}

function runtimeProbe(config: WorkerConfig): Probe {
  if (config.runtime !== 'docker')
    return { ask: async () => 'process: plain processes of this machine, which isolates nothing' };
  const whose = { worker: randomUUID(), folder: resolve(config.dataDir), log: silentLog };
  return {
    ask: async (signal) => {
      await using runtime = await openRuntime(config, whose);
      await runtime.ping(signal);
      await runtime.demandRoom?.(signal);
      return `docker at ${withoutCredentials(config.dockerHost)}`;
    },
    warn: async (signal) => {
      await using runtime = await openRuntime(config, whose);
      return await runtime.warning?.(signal);
    },
  };
}
