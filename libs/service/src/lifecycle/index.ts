export { checkKeyPair, type Follow, followPems, type PemTexts } from './follow-pems.ts';
export type { Loop, StartLoop } from './loop.ts';
export { startLoop } from './loop.ts';
export type { RunningService, RunService } from './run-service.ts';
export { runService } from './run-service.ts';
export {
  type OpenedService,
  type ServiceConfig,
  type ServiceTools,
  type StartService,
  startService,
} from './start-service.ts';
export { type WatchFiles, watchFiles } from './watch-files.ts';
export { type WatchSecrets, watchSecrets } from './watch-secrets.ts';
