import { type Broker, openMemoryBroker, openNsqBroker, readNsqSecurity } from '@morpheo/service/broker';
import { type Peer, peerOf } from '@morpheo/service/config';
import type { Log } from '@morpheo/service/log';
import type { ComputeConfig } from './config.ts';

/** The broker that the settings name. It need not be there yet. With a stack its certificates follow their files. */
export async function openBroker(
  config: ComputeConfig,
  log: Log,
  stack?: AsyncDisposableStack,
): Promise<Broker> {
  if (config.broker !== 'nsq') return openMemoryBroker();
  const security = await readNsqSecurity(config, stack && { log, stack });
  const { brokerHost = '', brokerPort } = config;
  const host = brokerHost.includes(':') ? `[${brokerHost}]` : brokerHost;
  return openNsqBroker({ nsqds: config.nsqd ?? [`${host}:${brokerPort}`], ...security, log });
}

/** Where storage-api is, and who we are to it. */
export function storageOf({ storage, storageUser, storagePassword }: ComputeConfig): Peer {
  return peerOf(storage, storageUser, storagePassword);
}

/** Where the orchestrator is, and who we are to it; undefined where nobody is to be told. */
export function orchestratorOf(config: ComputeConfig): Peer | undefined {
  if (config.orchestrator === undefined) return undefined;
  return peerOf(config.orchestrator, config.orchestratorUser, config.orchestratorPassword);
}
