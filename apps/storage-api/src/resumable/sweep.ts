import { readdir, rm, stat } from 'node:fs/promises';
import { isPlatformError } from '@morpheo/common';
import { isMissing } from '../blobs/local/errors.ts';
import { dropUpload, fileOf, type UploadContext } from './finish.ts';
import { expiredUploads, findUpload } from './store.ts';

/** Throws away uploads to which nothing came for long, and files that belong to none. */
export async function sweepUploads(context: UploadContext): Promise<void> {
  const { parts, alone } = context;
  let expired = 0;
  for (const id of await expiredUploads(parts.database, parts.settings.uploadExpiryMs)) {
    try {
      await alone(id, () => dropUpload(context, id));
      expired++;
    } catch (error) {
      // Somebody is at work on it after all: the next sweep looks again.
      if (!isPlatformError(error, 'locked')) throw error;
    }
  }
  const files = await sweepFiles(context);
  if (expired + files > 0) parts.log.info({ expired, files }, 'threw away uploads that nobody ended');
}

async function sweepFiles(context: UploadContext): Promise<number> {
  const before = Date.now() - context.parts.settings.orphanGraceMs;
  let removed = 0;
  for (const id of await filesIn(context.folder)) {
    const path = fileOf(context, id);
    const found = await stat(path).catch(() => undefined);
    const known = async () => {
      const row = await findUpload(context.parts.database.read, id);
      return row !== undefined && row.finished_at === null;
    };
    if (found === undefined || found.mtimeMs > before || (await known())) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
