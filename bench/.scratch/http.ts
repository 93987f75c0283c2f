import { computeContract } from '@morpheo/common';
import { createHttpApp, listen } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { serve } from '../src/process/serve.ts';

await serve(async () => {
  const api = new Proxy({}, { get: () => async () => ({ message: 'Learn-uplet ingested accordingly' }) });
  const app = createHttpApp({
    contract: computeContract,
    api: api as never,
    info: { name: 'x', version: '0' },
    checks: {},
    authenticate: null,
    anonymousIntake: true,
    log: silentLog,
  });
  return await listen(app, { host: '127.0.0.1', port: 0, log: silentLog });
});
