import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@morpheo/common';
import { buildFailure, shown } from './failure.ts';

const BYTES = 64 * 1024;
/** Of a folder that is looked through for a Dockerfile at a wrong place. */
const ENTRIES = 1000;

/** The text of the Dockerfile at the root of a build context. Throws `build_failed` where there is none to be read. */
export async function readDockerfileText(context: string): Promise<string> {
  const bytes = await readBytes(context);
  const start = bytes.subarray(0, 2).toString('hex');
  // UTF-16, as PowerShell writes it: by its mark, or since every second byte is zero.
  if (start === 'fffe' || start === 'feff' || (bytes.length > 1 && (bytes[0] === 0 || bytes[1] === 0))) {
    throw buildFailure('The Dockerfile is UTF-16, and not UTF-8 text: save it as UTF-8.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw buildFailure('The Dockerfile is not UTF-8 text: save it as UTF-8.', undefined, error);
  }
}

async function readBytes(context: string): Promise<Buffer> {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(join(context, 'Dockerfile'), flags);
    const bytes = Buffer.alloc(BYTES + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, 0);
    if (bytesRead <= BYTES) return bytes.subarray(0, bytesRead);
  } catch (error) {
    const what = errnoOf(error) === 'EISDIR' ? 'Its Dockerfile is a folder.' : await whatIsThere(context);
    throw buildFailure(
      `The archive has no Dockerfile at its root that can be read. ${what}`.trimEnd(),
      undefined,
      error,
      'build_archive_broken',
    );
  }
  throw buildFailure(`The Dockerfile has more than ${BYTES} bytes.`);
}

/** A sentence about a Dockerfile at another place, or of another spelling; empty where there is none. */
async function whatIsThere(context: string): Promise<string> {
  const names = (await readdir(context).catch(() => [])).slice(0, ENTRIES);
  const spelling = names.find((name) => /^dockerfile(\.txt)?$/i.test(name) && name !== 'Dockerfile');
  if (spelling !== undefined) return `There is a file ${shown(spelling)}: it must be spelt Dockerfile.`;
  for (const name of names.toSorted()) {
    const there = await stat(join(context, name, 'Dockerfile')).catch(() => undefined);
    if (there?.isFile() === true)
      return `There is ${shown(name)}/Dockerfile: pack what is in ${shown(name)}, and not the folder itself.`;
  }
  return '';
}
