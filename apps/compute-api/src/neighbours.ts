import { type Broker, openMemoryBroker, openNsqBroker, readNsqSecurity } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';
import type { ComputeConfig } from './config.ts';
import type { Peer } from './service.ts';

/** The broker that the settings name. It need not be there yet. */
export async function openBroker(config: ComputeConfig, log: Log): Promise<Broker> {
  if (config.broker !== 'nsq') return openMemoryBroker();
  const security = await readNsqSecurity(config);
  const nsqds = config.nsqd ?? [hostAndPort(config.brokerHost ?? '', config.brokerPort)];
  return openNsqBroker({ nsqds, ...security, log });
}

/** Where storage-api is, and who we are to it. */
export function storageOf({ storage, storageUser, storagePassword }: ComputeConfig): Peer {
  return peer(storage, storageUser, storagePassword.reveal());
}

/** Where the orchestrator is, and who we are to it; undefined where nobody is to be told. */
export function orchestratorOf(config: ComputeConfig): Peer | undefined {
  if (config.orchestrator === undefined) return undefined;
  return peer(config.orchestrator, config.orchestratorUser, config.orchestratorPassword?.reveal());
}

function peer(url: string, name: string | undefined, secret: string | undefined): Peer {
  return { url, credentials: name === undefined || secret === undefined ? undefined : { name, secret } };
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
