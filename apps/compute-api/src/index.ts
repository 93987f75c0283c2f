export {
  type Compute,
  type ComputeParts,
  startCompute,
} from './compute.ts';
export { COMPUTE_DEFAULTS, type ComputeSettings, callbackSetting } from './config.ts';
export { migrations } from './db/migrations.ts';
export type { Schema } from './db/schema.ts';
export { type ComputeService, type ComputeServiceOptions, openComputeService, type Peer } from './service.ts';
