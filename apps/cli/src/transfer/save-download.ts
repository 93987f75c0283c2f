import { stat } from 'node:fs/promises';
import type { Context } from '../context.ts';
import { usageError } from '../exit-codes.ts';
import { humanBytes, humanSeconds } from '../terminal/text.ts';
import { type Download, downloadStream, downloadTo } from './download.ts';

/**
 * Downloads to a file, or to stdout where it is called `-`, and says so. Throws a `CliError` where the file is there
 * already and is not to be replaced (`force`), and what {@link downloadTo} throws.
 */
export async function saveDownload(
  { terminal }: Context,
  target: string,
  download: Download,
  force: boolean,
): Promise<void> {
  if (target === '-') return await downloadStream((chunk) => terminal.write(chunk), download);
  if (!force && (await isThere(target))) {
    throw usageError(`${target} is there already.`, 'Name another file with -o, or replace it with --force.');
  }
  const started = performance.now();
  const { resumedFrom } = await downloadTo(target, download);
  const seconds = (performance.now() - started) / 1000;
  const bytes = download.what.size - resumedFrom;
  const rest = resumedFrom === 0 ? '' : ` (${humanBytes(resumedFrom)} were there already)`;
  terminal.note(`downloaded ${humanBytes(bytes)} in ${humanSeconds(seconds)}${rest}; SHA-256 verified`);
}

/** Whether there is something of this name. */
export async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
