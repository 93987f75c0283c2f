import { readFile } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import type { Log } from '../log/index.ts';
import { startLoop } from './loop.ts';

/** What {@link watchFiles} is given. */
export interface WatchFiles {
  /** What the files hold, for the log and for errors, such as `credentials`. */
  readonly name: string;
  readonly paths: readonly string[];
  /** Gets the texts, in the order of the paths; throws where they are no good, and has changed nothing then. */
  readonly changed: (texts: readonly string[]) => void | Promise<void>;
  /** How often they are read, in milliseconds; 5000 where absent. */
  readonly everyMs?: number | undefined;
  readonly log: Log;
}

/** How long a change may wait until it is seen, in milliseconds. */
const EVERY_MS = 5000;

/**
 * Small files that are read now and again whenever one of them has changed: they are compared by what they hold, so
 * that it does not matter how a file was replaced. Rejects where they cannot be used at first. Later that is a warning,
 * once for each reason, and what was read before holds on.
 */
export async function watchFiles(options: WatchFiles): Promise<AsyncDisposable> {
  const { name, paths, changed, everyMs = EVERY_MS, log } = options;
  let seen = await textsOf(options);
  await changed(seen);
  let told: string | undefined;
  const look = async (): Promise<void> => {
    try {
      const texts = await textsOf(options);
      if (texts.every((text, at) => text === seen[at])) {
        told = undefined;
        return;
      }
      await changed(texts);
      seen = texts;
      told = undefined;
      log.info({ files: paths }, `The ${name} have changed and were read again`);
    } catch (error) {
      const reason = String(error);
      if (reason !== told) {
        log.warn({ error, files: paths }, `The ${name} have changed and are no good: those before hold on`);
      }
      told = reason;
    }
  };
  return startLoop({ name: `watch ${name}`, everyMs, work: look, log });
}

async function textsOf({ name, paths }: WatchFiles): Promise<string[]> {
  return await Promise.all(
    paths.map(async (path) => {
      try {
        return await readFile(path, 'utf8');
      } catch (cause) {
        throw new PlatformError('invalid_request', `${path} (the ${name}) cannot be read.`, { cause });
      }
    }),
  );
}
