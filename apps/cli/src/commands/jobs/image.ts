import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type ImageReference, imageText, parseImageReference } from '@morpheo/common';
import { Registries, type RegistryCredentials, registryCredentials } from '@morpheo/service/registry';
import type { Context } from '../../context.ts';

/**
 * The image with its digest, as a job has to name it. Where it has none, its registry is asked what its tag means now, with
 * what `docker login` has kept of it. Throws what {@link Registries} throws, and `invalid_request` for no reference.
 */
export async function pinImage({ env, terminal, signal }: Context, text: string): Promise<string> {
  const image = parseImageReference(text);
  if (image.digest !== undefined) return text;
  const credentials = await dockerCredentials(env.DOCKER_CONFIG ?? join(homedir(), '.docker'));
  const registries = new Registries({ allowed: allowedFor(image), credentials: () => credentials });
  const pinned = imageText({ ...image, digest: await registries.resolve(image, signal) });
  terminal.note(`image ${pinned}`);
  return pinned;
}

/** As Docker has it: a registry of this machine may be without TLS, no other. */
function allowedFor({ registry }: ImageReference): ConstructorParameters<typeof Registries>[0]['allowed'] {
  const isHere = /^(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?$/.test(registry);
  return isHere ? [{ registry, scheme: 'http', prefix: '' }] : 'all';
}

/** None where there is no such file, or where it keeps them elsewhere: many images are for everybody. */
async function dockerCredentials(folder: string): Promise<RegistryCredentials> {
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '');
  return registryCredentials.safeParse(text).data ?? new Map();
}
