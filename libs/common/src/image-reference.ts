import * as z from 'zod';
import { PlatformError } from './errors.ts';

/** An image in a registry, read from its reference. */
export interface ImageReference {
  /** Host, with the port where one is written, in small letters: such as `registry.example:5000`. */
  readonly registry: string;
  /** The name within the registry, such as `team/tool`. */
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string;
}

/** A reference that says by its digest which bytes are meant. */
export type PinnedReference = ImageReference & { readonly digest: string };

/** The longest reference that is read. */
export const LONGEST_REFERENCE = 600;

const MOST_PORT = 65_535;

/** The longest name of a repository. Source: the reference grammar of the CNCF's distribution project. */
const LONGEST_NAME = 255;

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const REGISTRY = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-f:.]{2,45}\\])(?::[0-9]{1,5})?$`);
const NAME = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const DOCKER_HUB = 'docker.io';
const EXAMPLE = 'registry.example/name@sha256:…';

/**
 * Reads a reference by the grammar of OCI registries: `registry.example[:port]/name[:tag][@sha256:…]`. The registry has
 * to be named: there is none by default. Of Docker Hub, `docker.io/name` is `docker.io/library/name`. Throws
 * `invalid_request` that says what is wrong.
 */
export function parseImageReference(text: string): ImageReference {
  const read = readReference(text);
  if (typeof read !== 'string') return read;
  throw new PlatformError('invalid_request', `The image ${JSON.stringify(text.slice(0, 100))} ${read}.`);
}

/** As {@link parseImageReference}, where the digest must be there. */
export function parsePinnedImage(text: string): PinnedReference {
  const { digest, ...reference } = parseImageReference(text);
  if (digest !== undefined) return { ...reference, digest };
  throw new PlatformError('invalid_request', `The image ${text} ${UNPINNED}.`);
}

/** A reference as text, which reads back as the same. */
export function imageText({ registry, repository, tag, digest }: ImageReference): string {
  const tagged = tag === undefined ? '' : `:${tag}`;
  return `${registry}/${repository}${tagged}${digest === undefined ? '' : `@${digest}`}`;
}

const UNPINNED = `should have its digest, as in ${EXAMPLE}: a tag may mean another image tomorrow`;

/** The reference of an image with its digest, as a text; see {@link parseImageReference}. */
export const pinnedImage = z.string().superRefine((text, context) => {
  const read = readReference(text);
  const problem = typeof read === 'string' ? read : read.digest === undefined ? UNPINNED : undefined;
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** What stands there, or what is wrong with it, as words that follow the text. */
function readReference(text: string): ImageReference | string {
  if (text.length > LONGEST_REFERENCE) return `should have at most ${LONGEST_REFERENCE} characters`;
  const [named = '', digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !DIGEST.test(digest)))
    return 'should have a digest of sha256: and 64 small hexadecimal digits behind the @';
  const slash = named.indexOf('/');
  const registry = named.slice(0, slash).toLowerCase();
  if (slash < 0 || !(/[.:]/.test(registry) || registry === 'localhost'))
    return `should begin with its registry, as in ${EXAMPLE}; an image of Docker Hub is docker.io/library/…`;
  if (!REGISTRY.test(registry) || Number(/:(\d+)$/.exec(registry)?.[1] ?? 0) > MOST_PORT)
    return 'should begin with a host, perhaps with a port, before the first slash';
  const [, name = '', tag] = /^([^:]*)(?::(.*))?$/s.exec(named.slice(slash + 1)) ?? [];
  const isName = name.length <= LONGEST_NAME && name.split('/').every((part) => NAME.test(part));
  if (!isName)
    return 'should have a name of small letters, digits, . _ - and slashes, between letters or digits';
  if (tag !== undefined && !TAG.test(tag))
    return 'should have a tag of at most 128 letters, digits, . _ and - behind the colon';
  const isOfficial = registry === DOCKER_HUB && !name.includes('/');
  return {
    registry,
    repository: isOfficial ? `library/${name}` : name,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}
