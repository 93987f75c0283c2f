import type { ClientOptions } from '@morpheo/client';
import { type Api, PlatformError, type StorageContract, type Task, withTimeout } from '@morpheo/common';
import { type Broker, openNsqBroker, readNsqSecurity } from '@morpheo/service/broker';
import { peerOf } from '@morpheo/service/config';
import type { Log } from '@morpheo/service/log';
import { traceHeaders } from '@morpheo/service/trace';
import type { WorkerConfig } from './config/config.ts';

/** Where compute-api is, and who we are to it. */
export function computeOf({ compute, computeUser, computePassword }: WorkerConfig): ClientOptions {
  return { ...peerOf(compute, computeUser, computePassword), about: traceHeaders };
}

/** Where storage-api is, and who we are to it. */
export function storageOf(config: WorkerConfig): ClientOptions {
  const { storage, storageHost, storagePort, storageUser, storagePassword, storageRedirect } = config;
  const url = storage ?? `http://${storageHost}:${storagePort}`;
  // What comes is compared with its digest, wherever it comes from.
  const headers = storageRedirect ? { prefer: 'redirect' } : {};
  return { ...peerOf(url, storageUser, storagePassword), about: traceHeaders, headers };
}

/** storage-api as an attempt calls it: by its ticket as it is at each request, or where it has none by the worker's name. */
export type OpenStorage = (ticket: () => string | undefined) => Api<StorageContract>;

/**
 * The broker that wakes the worker; undefined where none is given, and it polls alone. With a stack its certificates follow
 * their files.
 */
export async function openBroker(
  config: WorkerConfig,
  log: Log,
  stack?: AsyncDisposableStack,
): Promise<Broker | undefined> {
  const { nsqd, nsqlookupdUrls, httpAddress } = config;
  if (nsqd === undefined && nsqlookupdUrls === undefined) return undefined;
  const security = await readNsqSecurity(config, stack && { log, stack });
  return openNsqBroker({ nsqds: nsqd, lookupds: nsqlookupdUrls, nsqdHttps: httpAddress, ...security, log });
}

/** How long a call of another service may take that sends and gets little, in milliseconds. */
const ANSWER_MS = 10_000;

/** Makes one call of another service. Throws `unavailable` where it is not answered within ten seconds. */
export async function callPeer<T>(service: string, signal: AbortSignal, call: Task<T>): Promise<T> {
  const late = () =>
    new PlatformError('unavailable', `${service} did not answer within ${ANSWER_MS / 1000} s.`);
  return await withTimeout(ANSWER_MS, signal, late, call);
}
