import { z } from 'zod';
import { defineSettings, type SettingsOf } from '../config/index.ts';
import { type Follow, followPems } from '../lifecycle/index.ts';
import { allowedImagesList } from './allowed.ts';
import { registryCredentials } from './credentials.ts';
import { Registries } from './registries.ts';

export { type AllowedImages, allowedImagesList } from './allowed.ts';
export { type RegistryCredentials, registryCredentials } from './credentials.ts';
export type { ImageConfig, LayerForm } from './documents.ts';
export { findImage, type ImageBounds, type RemoteImage, type RemoteLayer } from './image.ts';
export { ImageRefusal } from './refusal.ts';
export { Registries, type RegistriesOptions } from './registries.ts';

const hosts = z
  .string()
  .toLowerCase()
  .transform((text) => text.split(',').map((host) => host.trim()))
  .pipe(
    z.array(
      z
        .string()
        .regex(
          /^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/,
          'should be hosts such as cdn.example:9000',
        ),
    ),
  );

/** The settings of what a service may fetch from registries of images; `prefix` begins their variables. */
export function registrySettings(prefix: string) {
  return defineSettings({
    registries: {
      flag: 'registries',
      env: `${prefix}REGISTRIES`,
      schema: allowedImagesList.optional(),
      list: true,
      help: 'From where orders may have images, such as registry.example or registry.example/team; http://localhost:5000 for one without TLS. From nowhere where absent.',
    },
    registryCredentials: {
      flag: 'registry-credentials',
      env: `${prefix}REGISTRY_CREDENTIALS`,
      schema: registryCredentials.optional(),
      secret: true,
      help: 'Names and passwords at registries, as docker login writes them: {"auths": {"registry.example": {"auth": "…"}}}.',
    },
    registryCa: {
      flag: 'registry-ca',
      env: `${prefix}REGISTRY_CA`,
      schema: z.string().min(1).optional(),
      help: 'PEM file of authorities that certificates of registries may be from, beside the usual ones. Read again when it changes.',
    },
    registryRedirects: {
      flag: 'registry-redirects',
      env: `${prefix}REGISTRY_REDIRECTS`,
      schema: hosts.optional(),
      list: true,
      help: 'Hosts of private networks, such as minio.example:9000, to which registries may send the worker for tokens and bytes. Public ones need not be named.',
    },
  });
}

/** The values of {@link registrySettings}. */
export type RegistryConfig = SettingsOf<ReturnType<typeof registrySettings>>;

/** Opens what the settings allow; credentials and authorities follow their files. Throws `invalid_request` for a file that is no good. */
export async function openRegistries(config: RegistryConfig, follow: Follow): Promise<Registries> {
  const {
    registries = [],
    registryCredentials: credentials,
    registryCa: ca,
    registryRedirects: redirects,
  } = config;
  const pems = ca === undefined ? undefined : await followPems('--registry-ca', { ca }, follow);
  return new Registries({
    allowed: registries,
    credentials: () => credentials?.reveal() ?? new Map(),
    authority: () => pems?.ca,
    redirects,
  });
}
