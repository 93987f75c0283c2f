import { type Api, defineContract, PlatformError, storageContract } from '@morpheo/common';
import { createHttpApp, type HttpServer, listen } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { pinned } from './fake-systems.ts';

/** A storage-api over HTTP that holds what every order names, and is away for all else. */
export async function openPinningStorage(): Promise<HttpServer> {
  const { pinOrders, publishResult, discardResults } = storageContract.endpoints;
  const away = async () => {
    throw new PlatformError('unavailable', 'It is away.');
  };
  const endpoints = { pinOrders, publishResult, discardResults };
  const contract = defineContract({ ...storageContract, endpoints });
  const api: Api<typeof contract> = {
    pinOrders: async ({ body: { orders } }) => ({ pins: orders.map((order) => pinned(order)) }),
    publishResult: away,
    discardResults: away,
  };
  const app = createHttpApp({
    ...{ contract, api },
    info: { name: 'storage-api', version: '0' },
    checks: {},
    authenticate: null,
    anonymousIntake: false,
    log: silentLog,
  });
  return await listen(app, { host: '127.0.0.1', port: 0, log: silentLog });
}
