import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type TarEntry, tarOf } from '../../archive/index.ts';
import type { LayerForm } from '../documents.ts';

/** Something that a registry keeps by its digest. */
export interface Stored {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly bytes: Buffer;
  readonly mediaType: string;
}

/** An image of a test: the manifest comes last, after what it refers to. */
export interface TestImage {
  readonly manifest: Stored;
  readonly config: Stored;
  readonly layers: readonly Stored[];
}

/** What a test may say of an image; the rest is an image of Linux on amd64 with what is said and nothing else. */
export interface ImageRequest {
  /** The files of each layer, by path, from the lowest layer on. */
  readonly layers?: readonly Readonly<Record<string, string | Buffer>>[];
  readonly form?: LayerForm;
  /** In the words of OCI, or of Docker (schema 2). */
  readonly kind?: 'oci' | 'docker';
  readonly architecture?: string;
  /** Members of `config` in the configuration, such as `Entrypoint`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Members that replace those of the configuration, and of the manifest. */
  readonly odd?: {
    readonly config?: Readonly<Record<string, unknown>>;
    readonly manifest?: Readonly<Record<string, unknown>>;
  };
}

const TYPES = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    tar: 'application/vnd.oci.image.layer.v1.tar',
    gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
    zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    tar: 'application/vnd.docker.image.rootfs.diff.tar',
    gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  },
} as const;

const PACK = { tar: (bytes: Buffer) => bytes, gzip: gzipSync, zstd: zstdCompressSync };

/** Makes an image. */
export async function makeImage(request: ImageRequest = {}): Promise<TestImage> {
  const { layers: files = [{ 'etc/hello': 'hello\n' }], architecture = 'amd64' } = request;
  const tars = await Promise.all(files.map(tarOfFiles));
  return packImage(tars, { ...request, architecture });
}

/** Makes an image of layers that are there, as tar archives. */
export function packImage(tars: readonly Buffer[], request: ImageRequest = {}): TestImage {
  const { form = 'gzip', kind = 'oci', architecture = 'amd64', odd = {} } = request;
  const types = TYPES[kind];
  const layers = tars.map((tar) => stored(PACK[form](tar), types[form]));
  const config = json(types.config, {
    os: 'linux',
    architecture,
    config: request.config ?? {},
    rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
    history: [],
    ...odd.config,
  });
  const manifest = json(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
    ...odd.manifest,
  });
  return { manifest, config, layers };
}

/** Makes an index of images, by their platforms such as `linux/arm64`. */
export function makeIndex(
  images: Readonly<Record<string, TestImage>>,
  kind: 'oci' | 'docker' = 'oci',
): Stored {
  const mediaType = TYPES[kind].index;
  const manifests = Object.entries(images).map(([name, { manifest }]) => {
    const [os, architecture, variant] = name.split('/');
    return { ...descriptorOf(manifest), platform: { os, architecture, ...(variant && { variant }) } };
  });
  return json(mediaType, { schemaVersion: 2, mediaType, manifests });
}

/** What a registry calls bytes: `sha256:` and 64 hexadecimal digits. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function descriptorOf({ digest, bytes, mediaType }: Stored) {
  return { mediaType, digest, size: bytes.byteLength };
}

function stored(bytes: Buffer, mediaType: string): Stored {
  return { digest: digestOf(bytes), bytes, mediaType };
}

function json(mediaType: string, members: unknown): Stored {
  return stored(Buffer.from(JSON.stringify(members)), mediaType);
}

async function tarOfFiles(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  async function* entries(): AsyncGenerator<TarEntry> {
    for (const [name, content] of Object.entries(files)) {
      const body = Buffer.from(content);
      const bytes = (async function* () {
        yield body;
      })();
      yield { name, type: 'file', size: body.byteLength, mode: 0o755, bytes };
    }
  }
  return Buffer.concat(await Array.fromAsync(tarOf(entries())));
}
