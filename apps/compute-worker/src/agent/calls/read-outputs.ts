import { closeSync, constants, fstatSync, opendirSync, openSync, readSync } from 'node:fs';
import { type CallAnswer, MOST_IN_CALL, MOST_IN_JOB, OrderFailure, PlatformError } from '@morpheo/common';
import { pathProblem, type TreeLimits } from '@morpheo/service/archive';
import type { LivingFile } from '../../files/living-tree.ts';
import { CALL_OUTPUTS } from '../../warm/call-files.ts';
import { livingOutputs } from '../../warm/living-outputs.ts';

const LIMITS: TreeLimits = {
  bytes: MOST_IN_CALL.outputBytes,
  files: MOST_IN_CALL.outputs,
  depth: 64,
  pathBytes: MOST_IN_JOB.pathBytes,
};

/**
 * The files that a call has left in its folder for outputs, as its answer has them. Throws `too_large` for more than an answer
 * may have, and `OrderFailure` that names what is neither file nor folder.
 */
export async function readOutputs(folder: string, signal: AbortSignal): Promise<CallAnswer['outputs']> {
  const small = readSmall(folder);
  if (small !== undefined) return small;
  const outputs: CallAnswer['outputs'] = [];
  try {
    for await (const file of livingOutputs(folder, { limits: LIMITS, at: CALL_OUTPUTS, signal }))
      if (file.kind === 'file') outputs.push({ name: file.path, data: await base64Of(file) });
  } catch (error) {
    if (!(error instanceof OrderFailure) || error.end !== 'output_too_large') throw error;
    const message = `${error.message} Make it an order, whose outputs are kept on storage (Prefer: respond-async, or morpheo run --warm).`;
    throw new PlatformError('too_large', message, { cause: error });
  }
  return outputs;
}

async function base64Of(file: LivingFile): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of file.bytes()) pieces.push(piece);
  return Buffer.concat(pieces).toString('base64');
}

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Up to so many files with so many bytes are read at once: to wait for the disk's threads takes longer. */
const SMALL = { files: 8, bytes: 64 * 1024 };

/**
 * The same of a few small files; undefined where there is more, or anything else than files. Names are opened in the folder
 * that was opened first, and no link is followed: its program may still hold what is in it.
 */
function readSmall(folder: string): CallAnswer['outputs'] | undefined {
  using at = opened(folder, FOLDER);
  if (at === undefined) return undefined;
  const place = `/proc/self/fd/${at.fd}`;
  const names: string[] = [];
  using listing = opendirSync(place);
  for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
    if (names.length === SMALL.files || !entry.isFile() || pathProblem(entry.name, LIMITS) !== undefined)
      return undefined;
    names.push(entry.name);
  }
  const outputs: CallAnswer['outputs'] = [];
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
    using file = opened(`${place}/${name}`, FILE);
    const stats = file === undefined ? undefined : fstatSync(file.fd);
    if (file === undefined || stats?.isFile() !== true || stats.size > SMALL.bytes) return undefined;
    const bytes = Buffer.allocUnsafe(stats.size);
    const length = stats.size === 0 ? 0 : readSync(file.fd, bytes, 0, stats.size, 0);
    if (length !== stats.size) return undefined;
    outputs.push({ name, data: bytes.toString('base64') });
  }
  return outputs;
}

/** Undefined where it cannot be opened so; the way for all else says why. */
function opened(path: string, flags: number): (Disposable & { readonly fd: number }) | undefined {
  try {
    const fd = openSync(path, flags);
    return { fd, [Symbol.dispose]: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}
