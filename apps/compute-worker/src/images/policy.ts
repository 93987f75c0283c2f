import { defineSettings, duration, size } from '@morpheo/service/config';
import { Registries, registrySettings } from '@morpheo/service/registry';

/** From where, and within which bounds, images of registries are fetched. */
export interface ImagePolicy {
  readonly registries: Registries;
  /** What one image may have, packed as well as unpacked, in bytes. */
  readonly bytes: number;
  /** How long it may take until an image is ready, in milliseconds. */
  readonly wallMs: number;
}

const GIB = 1024 ** 3;
const DEFAULTS = { bytes: 20 * GIB, wallMs: 30 * 60_000 };

/** No image is fetched: that of a worker whose operator has named no registry. */
export const NO_IMAGES: ImagePolicy = { registries: new Registries({ allowed: [] }), ...DEFAULTS };

/** The settings of an {@link ImagePolicy}. */
export const imageSettings = defineSettings({
  ...registrySettings('MORPHEO_WORKER_'),
  imageSize: {
    flag: 'image-size',
    env: 'MORPHEO_WORKER_IMAGE_SIZE',
    schema: size,
    default: DEFAULTS.bytes,
    help: 'What an image of a registry may have, packed as well as unpacked, such as 20GiB.',
  },
  imageTimeout: {
    flag: 'image-timeout',
    env: 'MORPHEO_WORKER_IMAGE_TIMEOUT',
    schema: duration,
    default: DEFAULTS.wallMs,
    help: 'How long it may take to fetch an image and to load it into Docker, such as 30m; then it is tried again.',
  },
});
