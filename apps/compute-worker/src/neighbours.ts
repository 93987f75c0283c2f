import type { ClientOptions } from '@morpheo/client';
import { type Broker, openNsqBroker, readNsqSecurity } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';
import { traceHeaders } from '@morpheo/service/trace';
import type { WorkerConfig } from './config.ts';

/** Where compute-api is, and who we are to it. */
export function computeOf({ compute, computeUser, computePassword }: WorkerConfig): ClientOptions {
  return peer(compute, computeUser, computePassword?.reveal());
}

/** Where storage-api is, and who we are to it. */
export function storageOf(config: WorkerConfig): ClientOptions {
  const { storage, storageHost, storagePort, storageUser, storagePassword, storageRedirect } = config;
  const url = storage ?? `http://${storageHost}:${storagePort}`;
  // What comes is compared with its digest, wherever it comes from.
  const headers = storageRedirect ? { prefer: 'redirect' } : {};
  return { ...peer(url, storageUser, storagePassword?.reveal()), headers };
}

/** The broker that wakes the worker; undefined where none is given, and it asks by itself alone. */
export async function openBroker(config: WorkerConfig, log: Log): Promise<Broker | undefined> {
  const { nsqd, nsqlookupdUrls, httpAddress } = config;
  if (nsqd === undefined && nsqlookupdUrls === undefined) return undefined;
  const security = await readNsqSecurity(config);
  return openNsqBroker({ nsqds: nsqd, lookupds: nsqlookupdUrls, nsqdHttps: httpAddress, ...security, log });
}

function peer(url: string, name: string | undefined, secret: string | undefined): ClientOptions {
  const credentials = name === undefined || secret === undefined ? undefined : { name, secret };
  return { url, credentials, about: traceHeaders };
}
