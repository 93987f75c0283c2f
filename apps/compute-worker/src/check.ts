import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { computeClient, identify, storageClient } from '@morpheo/client';
import { computeContract, PlatformError, storageContract } from '@morpheo/common';
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
import { readSheep } from './sheep/flock.ts';
import { WORKER_FOLDERS } from './worker.ts';

/** What `--check` of the worker asks. */
export function probesOf(
  config: WorkerConfig,
  env: Readonly<Record<string, string | undefined>> = {},
): Probes {
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
    ...(config.shepherdConfig === undefined ? {} : { sheep: sheepProbe(config, env) }),
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

function sheepProbe(config: WorkerConfig, env: Readonly<Record<string, string | undefined>>): Probe {
  return {
    ask: async () => {
      const { sheep = [] } = (await readSheep(config, env)) ?? {};
      for (const one of sheep) if (one.type === 'bare') await demandFolder(one.workingDirectory, one.id);
      return sheep.map(({ id, type }) => `${id} (${type})`).join(', ');
    },
    remedy: 'Jobs for its sheep come here as soon as the worker starts.',
  };
}

async function demandFolder(path: string, sheep: string): Promise<void> {
  if ((await stat(path).catch(() => undefined))?.isDirectory() === true) return;
  throw new PlatformError(
    'unavailable',
    `The working directory of the sheep ${sheep} is not there: ${path}.`,
  );
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
