import { stat } from 'node:fs/promises';
import { Secret } from '../config/index.ts';
import type { Log } from '../log/index.ts';
import { watchFiles } from './watch-files.ts';

/** What {@link watchSecrets} is given beside the settings. */
export interface WatchSecrets {
  readonly log: Log;
  /** How often the files are looked at, in milliseconds; see {@link watchFiles}. */
  readonly everyMs?: number | undefined;
}

/**
 * Renews the secrets among the values of settings whenever the files change that they were read from, until it is
 * disposed. A file that is no good at the moment is a warning, and its secret stays as it was. What was read from a
 * pipe cannot be read again.
 */
export async function watchSecrets(
  values: Readonly<Record<string, unknown>>,
  { log, everyMs }: WatchSecrets,
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  for (const secret of Object.values(values)) {
    if (!(secret instanceof Secret) || secret.file === undefined) continue;
    const { setting, path } = secret.file;
    if (!(await isRegular(path))) continue;
    const changed = async ([text = '']: readonly string[]): Promise<void> => await secret.renew(text);
    stack.use(await watchFiles({ name: `contents of ${setting}`, paths: [path], changed, everyMs, log }));
  }
  return stack.move();
}

async function isRegular(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
