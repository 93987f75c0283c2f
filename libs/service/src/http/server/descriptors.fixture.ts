import { createLog } from '../../log/index.ts';
import { smallApi, smallContract } from '../testing/small-service.ts';
import { listen } from './listen.ts';
import { createHttpApp } from './serve.ts';

// A service for the test of a process that has no file descriptors left; its log is on standard output.
const log = createLog({ service: 'fixture' });
const app = createHttpApp({
  contract: smallContract,
  api: smallApi,
  info: { name: 'small', version: '1' },
  checks: {},
  authenticate: null,
  anonymousIntake: true,
  log,
});
await listen(app, { host: '127.0.0.1', port: 0, log });
