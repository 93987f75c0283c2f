export {
  digestOf,
  type ImageRequest,
  makeImage,
  makeIndex,
  packImage,
  type Stored,
  type TestImage,
} from './image.ts';
export { type PushTarget, pushImage } from './push.ts';
export {
  type Fault,
  type RegistryRequest,
  type SeenRequest,
  startTestRegistry,
  type TestRegistry,
  tagged,
} from './registry.ts';
