import type { ImageReference } from '@morpheo/common';
import { z } from 'zod';

/** By whose name a registry is asked. */
export interface RegistryCredential {
  readonly username: string;
  readonly password: string;
}

/** Credentials by what they are for: a registry, or a name within it. */
export type RegistryCredentials = ReadonlyMap<string, RegistryCredential>;

const entry = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
});
const file = z.looseObject({ auths: z.record(z.string(), entry) });

const EXPECTED =
  'should be JSON as docker login and podman login write it: {"auths": {"registry.example": {"auth": "…"}}}, with name and password of each, and no helper';

/** Credentials as Docker's `config.json` and `containers-auth.json(5)` have them. No error shows anything of the text. */
export const registryCredentials = z.string().transform((text, context): RegistryCredentials => {
  const read = file.safeParse(jsonOf(text));
  const found = Object.entries(read.data?.auths ?? {}).map(
    ([key, written]) => [placeOf(key), credentialOf(written)] as const,
  );
  const good = new Map<string, RegistryCredential>();
  for (const [place, credential] of found) if (credential !== undefined) good.set(place, credential);
  if (good.size > 0 && good.size === found.length) return good;
  context.addIssue({ code: 'custom', message: EXPECTED });
  return z.NEVER;
});

/** The credential for an image: of all that fit, that of the longest name. */
export function credentialFor(
  credentials: RegistryCredentials,
  { registry, repository }: ImageReference,
): RegistryCredential | undefined {
  const parts = [registry, ...repository.split('/')];
  for (let count = parts.length; count > 0; count -= 1) {
    const found = credentials.get(parts.slice(0, count).join('/'));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Docker writes its own registry as an address of the first protocol. */
function placeOf(key: string): string {
  const plain = key.replace(/^https?:\/\//i, '').replace(/\/(?:v1|v2)?\/?$/, '');
  return plain.toLowerCase().replace(/^(?:index|registry-1)\.docker\.io(?=\/|$)/, 'docker.io');
}

function credentialOf({ auth, username, password }: z.infer<typeof entry>): RegistryCredential | undefined {
  const pair = auth === undefined ? '' : Buffer.from(auth, 'base64').toString('utf8');
  const [, name = username, secret = password] = /^([^:]+):(.+)$/s.exec(pair) ?? [];
  return name === undefined || secret === undefined ? undefined : { username: name, password: secret };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
