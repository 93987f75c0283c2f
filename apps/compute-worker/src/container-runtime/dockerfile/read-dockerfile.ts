import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dockerfile, DockerfileParser } from 'dockerfile-ast';
import { buildFailure } from './build-failure.ts';

const DOCKERFILE_BYTES = 64 * 1024;

/** The text of the Dockerfile at the root of a build context. Throws `build_failed` where there is none to be read. */
export async function readDockerfileText(context: string): Promise<string> {
  const path = join(context, 'Dockerfile');
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const bytes = Buffer.alloc(DOCKERFILE_BYTES + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, 0);
    if (bytesRead <= DOCKERFILE_BYTES) return bytes.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw buildFailure('The archive has no Dockerfile at its root that can be read.', undefined, error);
  }
  throw buildFailure(`The Dockerfile has more than ${DOCKERFILE_BYTES} bytes.`);
}

/** A Dockerfile, parsed. Throws `build_failed`. */
export function parseDockerfile(text: string): Dockerfile {
  try {
    return DockerfileParser.parse(text);
  } catch (error) {
    throw buildFailure('The Dockerfile cannot be read.', undefined, error);
  }
}
