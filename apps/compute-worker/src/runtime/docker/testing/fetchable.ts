import { readFile } from 'node:fs/promises';
import { type ImageRequest, makeImage, type TestImage } from '@morpheo/service/registry/testing';
import type { RegistryImage } from '../../index.ts';

/** An image with busybox, like no other, and what else is said of it. */
export async function shellImage(config: NonNullable<ImageRequest['config']>): Promise<TestImage> {
  const shell = await readFile('/bin/busybox');
  return await makeImage({
    form: 'tar',
    layers: [{ 'bin/busybox': shell, note: crypto.randomUUID() }],
    config,
  });
}

/** An image as the worker hands it to its runtime, and how often it was fetched for that. */
export function fetchable({ manifest, config, layers }: TestImage) {
  const counts = { fetched: 0, released: 0 };
  const image: RegistryImage = {
    digest: manifest.digest.slice('sha256:'.length),
    fetch: async () => {
      counts.fetched += 1;
      return {
        config: config.bytes,
        layers: layers.map(({ bytes }) => ({
          bytes: bytes.byteLength,
          open: async function* () {
            yield bytes;
          },
        })),
        [Symbol.dispose]: () => {
          counts.released += 1;
        },
      };
    },
  };
  return { image, counts };
}
