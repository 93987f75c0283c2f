import { type End, OrderFailure } from '@morpheo/common';
import { pathProblem, shownPath, type TreeLimits } from '@morpheo/service/archive';
import { type LivingFile, livingTree } from '../files/living-tree.ts';

/** What {@link livingOutputs} needs to know beside the folder. */
export interface LivingOutputOptions {
  readonly limits: TreeLimits;
  /** The folder's path for the program, for messages: its author knows no other. */
  readonly at: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The files and folders that a call has left, while its program goes on; a folder comes before what is in it. Each is read
 * before the next is asked for. Throws `OrderFailure` that names what is neither file nor folder, or too much, as
 * `collectTree` does of a program that has ended.
 */
export async function* livingOutputs(
  folder: string,
  { limits, at, signal }: LivingOutputOptions,
): AsyncGenerator<LivingFile> {
  let entries = 0;
  let bytes = 0;
  for await (const found of livingTree(folder)) {
    signal?.throwIfAborted();
    const { path, kind, size } = found;
    const where = `${at}/${path}`;
    const problem = pathProblem(path, limits);
    if (problem !== undefined) throw failed('output_not_a_file', where, problem);
    if (kind === 'other')
      throw failed(
        'output_not_a_file',
        where,
        'is a link, a device, or may not be read: only files and folders are taken',
      );
    entries += 1;
    bytes += size;
    if (entries > limits.files) throw tooMuch(`more than ${limits.files} files and folders`, at, path);
    if (bytes > limits.bytes) throw tooMuch(`files of more than ${limits.bytes} bytes together`, at, path);
    yield found;
  }
}

function tooMuch(what: string, at: string, path: string): OrderFailure {
  return failed('output_too_large', at, `holds ${what}; the entry ${shownPath(path)} is over it`);
}

function failed(end: End, where: string, what: string): OrderFailure {
  const file = shownPath(where);
  return new OrderFailure(end, { message: `${file} ${what}.`, file });
}
