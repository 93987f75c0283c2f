import { ARCHITECTURES, type Architecture } from '@morpheo/common';
import { z } from 'zod';
import { ImageRefusal } from './refusal.ts';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'should be a digest of sha256');
const descriptor = z.object({
  mediaType: z.string().max(255),
  digest,
  size: z.int().min(0),
});

/** What a manifest refers to. */
export type Descriptor = z.infer<typeof descriptor>;

const imageManifest = z.object({
  config: descriptor,
  layers: z.array(descriptor).max(1000),
});
const index = z.object({
  manifests: z
    .array(
      z.object({
        ...descriptor.shape,
        platform: z
          .looseObject({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
          .optional(),
      }),
    )
    .max(1000),
});

/** An image by its manifest, or images for several architectures by an index. Sources: OCI Image Specification 1.1; Docker, "Image Manifest Version 2, Schema 2". */
export type Manifest = z.infer<typeof imageManifest> | z.infer<typeof index>;

const config = z.object({
  os: z.string().default('linux'),
  architecture: z.string(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest) }),
  config: z
    .looseObject({
      Labels: z.record(z.string(), z.string()).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
});

/** What an image says of itself. */
export type ImageConfig = z.infer<typeof config>;

/** How the bytes of a layer are packed, by media type. */
const LAYERS: Readonly<Record<string, LayerForm>> = {
  'application/vnd.oci.image.layer.v1.tar': 'tar',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

/** See {@link layerForm}. */
export type LayerForm = 'tar' | 'gzip' | 'zstd';

/** Reads a manifest or an index. Throws an {@link ImageRefusal}, `what` being the subject of its sentence. */
export function parseManifest(bytes: Buffer, what: string): Manifest {
  const json = jsonOf(bytes, what);
  const has = (member: string) => typeof json === 'object' && json !== null && member in json;
  if (has('fsLayers'))
    throw invalid(what, 'is of the first form of manifests (schema 1), which is not read: push it anew');
  // What is both would be one image to us, and another to who looks at it by another program (CVE-2021-41190).
  if (has('manifests') && (has('layers') || has('config')))
    throw invalid(what, 'is an index and an image at once: push it anew');
  return read(has('manifests') ? index : imageManifest, json, what);
}

/** Reads the configuration of an image. Throws an {@link ImageRefusal}. */
export function parseConfig(bytes: Buffer, what: string): ImageConfig {
  return read(config, jsonOf(bytes, what), what);
}

/** How a layer is packed. Throws an {@link ImageRefusal} for what is no layer, or one that is not to be passed on. */
export function layerForm({ mediaType }: Descriptor, what: string): LayerForm {
  const form = LAYERS[mediaType];
  if (form === undefined)
    throw invalid(what, `has a layer of the type ${mediaType.slice(0, 100)}, which is not read`);
  return form;
}

/**
 * Which of an index's images is for an architecture. Throws an {@link ImageRefusal} that names what there is, where none
 * is.
 */
export function chooseImage(
  { manifests }: z.infer<typeof index>,
  architecture: Architecture,
  what: string,
): Descriptor {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
  );
  const usual = USUAL_VARIANTS[architecture];
  const chosen =
    fitting.find(({ platform }) => platform?.variant === undefined || platform.variant === usual) ??
    fitting[0];
  if (chosen !== undefined) return chosen;
  const there = manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [`${platform.os}/${platform.architecture}`],
  );
  throw ofOtherArchitecture(what, there, architecture);
}

/** Of architectures that come in several kinds, what machines of these days are. */
const USUAL_VARIANTS: Readonly<Partial<Record<Architecture, string>>> = {
  arm64: 'v8',
  arm: 'v7',
  amd64: 'v1',
};

/** Throws an {@link ImageRefusal} unless an image is for Linux on an architecture. */
export function demandArchitecture(
  { os, architecture: made }: ImageConfig,
  architecture: Architecture,
  what: string,
): void {
  if (os !== 'linux' || made !== architecture)
    throw ofOtherArchitecture(what, [`${os}/${made}`], architecture);
}

function ofOtherArchitecture(what: string, there: readonly string[], wanted: Architecture): ImageRefusal {
  const found = [...new Set(there)].slice(0, 20).join(', ').slice(0, 500) || 'nothing that says so';
  const known = ARCHITECTURES.find((one) => there.includes(`linux/${one}`));
  const remedy =
    known === undefined ? '' : ` An order that needs arch=${known} goes to a worker of that kind.`;
  const message = `${what} is for ${found}, and this worker runs linux/${wanted}.${remedy}`;
  return new ImageRefusal('image_of_other_architecture', message);
}

/** An {@link ImageRefusal} for an image that is not what it should be. */
export function invalid(what: string, problem: string, cause?: unknown): ImageRefusal {
  return new ImageRefusal('image_invalid', `${what} ${problem}.`, cause);
}

function read<Schema extends z.ZodType>(schema: Schema, json: unknown, what: string): z.output<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw invalid(
    what,
    `is described in a way that is not understood (${where}: ${issue?.message ?? ''})`,
    parsed.error,
  );
}

function jsonOf(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalid(what, 'is described by what is no JSON', error);
  }
}
