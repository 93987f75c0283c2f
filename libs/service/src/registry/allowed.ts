import type { ImageReference } from '@morpheo/common';
import { z } from 'zod';
import { ImageRefusal } from './refusal.ts';

/** Images that may be fetched: those of a registry, or those of it that are called so, or below that name. */
export interface AllowedImages {
  /** Host, with its port where it is not that of the scheme. */
  readonly registry: string;
  readonly scheme: 'https' | 'http';
  /** Such as `team`: allows `team` and `team/tool`, not `teams`. Empty: all of them. */
  readonly prefix: string;
}

const ENTRY =
  /^(?:(https?):\/\/)?((?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?)((?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)\/?$/;

const allowedImages = z.string().transform((text, context): AllowedImages => {
  const [, scheme = 'https', registry = '', path = ''] = ENTRY.exec(text.trim()) ?? [];
  if (registry !== '') {
    return {
      registry: registry.toLowerCase(),
      scheme: scheme === 'http' ? 'http' : 'https',
      prefix: path.slice(1),
    };
  }
  context.addIssue({
    code: 'custom',
    message:
      'should be registries such as registry.example, registry.example:5000/team or http://localhost:5000',
  });
  return z.NEVER;
});

/** A list of {@link AllowedImages} as a setting has it, with commas between. */
export const allowedImagesList = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(allowedImages).max(1000));

/**
 * The first entry that allows an image. Throws an {@link ImageRefusal} that says what is allowed, and by which setting
 * that would change.
 */
export function demandAllowed(list: readonly AllowedImages[], image: ImageReference): AllowedImages {
  const found = list.find(
    ({ registry, prefix }) =>
      registry === image.registry && (prefix === '' || `${image.repository}/`.startsWith(`${prefix}/`)),
  );
  if (found !== undefined) return found;
  const name = `${image.registry}/${image.repository}`;
  const allowed =
    list.length === 0
      ? 'the worker may fetch none from any registry'
      : `it may fetch those of ${list.map(({ registry, prefix }) => [registry, prefix].filter(Boolean).join('/')).join(', ')}`;
  const message = `The worker may not fetch the image ${name}: ${allowed}. Its operator says which by --registries.`;
  throw new ImageRefusal('registry_not_allowed', message);
}
