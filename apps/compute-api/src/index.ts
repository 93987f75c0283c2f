export {
  COMPUTE_DEFAULTS,
  type Compute,
  type ComputeParts,
  type ComputeSettings,
  startCompute,
} from './compute.ts';
export { migrations } from './migrations.ts';
export type { Schema } from './schema.ts';
export { type ComputeService, type ComputeServiceOptions, openComputeService, type Peer } from './service.ts';
export { CANCEL_TOPIC, queueMessage, TOPICS } from './wire.ts';
