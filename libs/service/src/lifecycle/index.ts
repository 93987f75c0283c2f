export type { Loop, StartLoop } from './loop.ts';
export { startLoop } from './loop.ts';
export type { RunningService, RunService } from './run-service.ts';
export { runService } from './run-service.ts';
