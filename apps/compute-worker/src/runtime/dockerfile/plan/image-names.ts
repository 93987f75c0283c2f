import { buildFailure, shown } from '../failure.ts';

/**
 * The repositories of the images that are made of archives, and of those that were fetched from registries: each belongs to
 * whoever sent its archive, or may fetch it.
 */
export const OWN_REPOSITORIES: readonly string[] = ['morpheo-step', 'morpheo-image'];

/** As Docker has it, in lower case: an optional host, a path, a tag, a digest. */
const NAME =
  /^(?:[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;
const LONGEST = 500;

/**
 * Throws `build_failed` where a name is none of an image, is that of an image which was made of somebody's archive, or
 * may be an id: by its id, any image that a daemon has could be read.
 */
export function demandImageName(name: string, line: number): void {
  if (name.length > LONGEST || !NAME.test(name)) {
    const hint =
      name.toLowerCase() !== name && NAME.test(name.toLowerCase()) ? ' Names are in lower case.' : '';
    throw buildFailure(
      `${shown(name, 200)} is no name of an image, such as debian:bookworm-slim.${hint}`,
      line,
    );
  }
  const parts = name.split('/');
  if (parts.some((part) => OWN_REPOSITORIES.includes(part.split(/[:@]/, 1)[0] ?? ''))) {
    throw buildFailure(
      `${name} was built for another archive: start from an image that is there for all.`,
      line,
    );
  }
  if (/^(sha256:)?[0-9a-f]+$/.test(name)) {
    throw buildFailure(`${name} may be the id of an image: name it, as in debian:bookworm-slim.`, line);
  }
}

/** Whether an image is one of Docker's own registry: its name begins with no host. */
export function isOfDockerHub(name: string): boolean {
  const [first = '', ...rest] = name.split('/');
  if (rest.length === 0 || !/[.:]|^localhost$/.test(first)) return true;
  return ['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(first);
}
