import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const content = z.object({ url: z.url({ protocol: /^https?$/ }), uuid: z.uuid() });

/** Where an upload is that has begun, and the id that the thing will have. */
export type UploadNoteContent = z.infer<typeof content>;

/** What the program remembers of an upload until its end, so that it can go on after the program was killed. */
export interface UploadNote {
  /** Undefined where nothing is remembered, or nothing that can be used. */
  read(): Promise<UploadNoteContent | undefined>;
  write(now: UploadNoteContent): Promise<void>;
  forget(): Promise<void>;
}

/** Notes of uploads that storage has forgotten long ago. */
const OLD_MS = 7 * 24 * 3_600_000;

/** The note in `folder` of the upload that `key` describes: the same service, bytes and fields have the same. */
export function uploadNote(folder: string, key: Readonly<Record<string, string | undefined>>): UploadNote {
  const text = JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)));
  const path = join(folder, `${createHash('sha256').update(text).digest('hex')}.json`);
  return {
    async read() {
      try {
        return content.parse(JSON.parse(await readFile(path, 'utf8')));
      } catch {
        return undefined;
      }
    },
    async write(now) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await removeOld(folder);
      await writeFile(path, JSON.stringify(now), { mode: 0o600 });
    },
    forget: () => rm(path, { force: true }),
  };
}

async function removeOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (stats !== undefined && stats.mtimeMs < Date.now() - OLD_MS)
      await rm(join(folder, name), { force: true });
  }
}
