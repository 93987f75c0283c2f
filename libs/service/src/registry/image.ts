import { type Architecture, imageText, type PinnedReference } from '@morpheo/common';
import {
  chooseImage,
  type Descriptor,
  demandArchitecture,
  type ImageConfig,
  invalid,
  type LayerForm,
  layerForm,
  parseConfig,
  parseManifest,
} from './documents.ts';
import { ImageRefusal } from './refusal.ts';
import { DOCUMENT_BYTES, type Registries } from './registries.ts';

/** An image of a registry for one architecture: all but the bytes of its layers, which nobody has fetched yet. */
export interface RemoteImage {
  readonly reference: PinnedReference;
  readonly config: ImageConfig;
  /** As it stands in the registry, checked by its digest. */
  readonly configBytes: Buffer;
  /** From the lowest on. */
  readonly layers: readonly RemoteLayer[];
}

/** A layer of a {@link RemoteImage}. */
export interface RemoteLayer {
  /** As the registry calls it: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  /** Of the bytes as the registry has them. */
  readonly size: number;
  readonly form: LayerForm;
  /** What the tar archive in it must have as digest: `sha256:` and 64 hexadecimal digits. */
  readonly diffId: string;
}

/** The bounds of a {@link RemoteImage}. */
export interface ImageBounds {
  /** Of its layers together, as the registry has them. */
  readonly bytes: number;
}

/** As many layers as an overlay of Linux can have. */
const MOST_LAYERS = 125;

/**
 * Looks up an image by its digest, and of an index the image for an architecture. Each document is checked by its digest.
 * Throws as {@link Registries} does, and an `ImageRefusal` where what is there is no image for this architecture within
 * the bounds.
 */
export async function findImage(
  registries: Registries,
  reference: PinnedReference,
  { architecture, bounds }: { readonly architecture: Architecture; readonly bounds: ImageBounds },
  signal: AbortSignal,
): Promise<RemoteImage> {
  const what = `The image ${imageText(reference)}`;
  const read = async (digest: string) =>
    parseManifest((await registries.manifest(reference, digest, signal)).bytes, what);
  const first = await read(reference.digest);
  const manifest = 'manifests' in first ? await read(chooseImage(first, architecture, what).digest) : first;
  if ('manifests' in manifest) throw invalid(what, 'is an index of indexes, which is not read');
  demandBounds(manifest, bounds, what);
  const configBytes = await registries.document(reference, manifest.config.digest, signal);
  const config = parseConfig(configBytes, what);
  demandArchitecture(config, architecture, what);
  return { reference, config, configBytes, layers: layersOf(manifest.layers, config, what) };
}

function demandBounds(
  { config, layers }: { readonly config: Descriptor; readonly layers: readonly Descriptor[] },
  { bytes }: ImageBounds,
  what: string,
): void {
  const sum = layers.reduce((total, { size }) => total + size, 0);
  const refuse = (has: string, most: string) =>
    new ImageRefusal('image_too_large', `${what} has ${has}, and ${most} is the most.`);
  if (layers.length > MOST_LAYERS) throw refuse(`${layers.length} layers`, String(MOST_LAYERS));
  if (config.size > DOCUMENT_BYTES)
    throw refuse(`a configuration of ${config.size} bytes`, String(DOCUMENT_BYTES));
  if (sum > bytes) throw refuse(`layers of ${sum} bytes`, String(bytes));
}

function layersOf(layers: readonly Descriptor[], { rootfs }: ImageConfig, what: string): RemoteLayer[] {
  const { diff_ids: diffIds } = rootfs;
  if (diffIds.length !== layers.length)
    throw invalid(what, `has ${layers.length} layers, and names ${diffIds.length} in its configuration`);
  return layers.map((layer, nth) => ({
    digest: layer.digest,
    size: layer.size,
    form: layerForm(layer, what),
    diffId: diffIds[nth] ?? '',
  }));
}
