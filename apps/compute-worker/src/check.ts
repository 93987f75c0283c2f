import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import {
  folderProbe,
  NOTHING,
  type Probe,
  type Probes,
  peerProbe,
  traceProbes,
} from '@morpheo/service/check';
import { silentLog } from '@morpheo/service/log';
import type { WorkerConfig } from './config.ts';
import { computeOf, openBroker, storageOf } from './neighbours.ts';
import { openRuntime } from './open-runtime.ts';

/** What `--check` of the worker asks. */
export function probesOf(config: WorkerConfig): Probes {
  const compute = computeOf(config);
  const storage = storageOf(config);
  const params = { type: 'model', uuid: NOTHING } as const;
  const broker = config.nsqd !== undefined || config.nsqlookupdUrls !== undefined;
  return {
    'data folder': folderProbe(config.dataDir),
    'compute-api': peerProbe({
      url: compute.url,
      call: async (signal) => await computeClient(compute).getQueue({}, { signal }),
      flag: '--compute',
      credentials: '--compute-user, --compute-password',
    }),
    'storage-api': peerProbe({
      url: storage.url,
      call: async (signal) => await storageClient(storage).get({ params }, { signal }),
      flag: '--storage',
      credentials: '--storage-user, --storage-password',
    }),
    ...(broker ? { broker: brokerProbe(config) } : {}),
    runtime: { ask: async (signal) => await askRuntime(config, signal) },
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

async function askRuntime(config: WorkerConfig, signal: AbortSignal): Promise<string> {
  if (config.runtime !== 'docker') return 'process: plain processes of this machine, which isolates nothing';
  const whose = { worker: randomUUID(), folder: resolve(config.dataDir), log: silentLog };
  await using runtime = await openRuntime(config, whose);
  await runtime.ping(signal);
  return 'docker';
}
