import {
  abortUpload,
  type Calls,
  deleteObject,
  listObjects,
  readStart,
  uploadedBytes,
} from '@morpheo/service/buckets';
import { z } from 'zod';
import type { Keys } from './keys.ts';

const record = z.object({ key: z.string(), id: z.string() });

/** Which names are in use, and whether anything is to be removed at all. */
export interface SweepRules {
  readonly upload: (name: string) => boolean;
  readonly intent: (name: string) => boolean;
  readonly dryRun: boolean;
}

/**
 * Ends the uploads in parts, removes the staged blobs and forgets the marks and intents that are older than
 * `olderThanMs`, save names that are in use. Says how many uploads and blobs that were, and how many bytes they held.
 */
export async function sweepObjects(
  calls: Calls,
  keys: Keys,
  olderThanMs: number,
  { upload: isWritten, intent: isIntended, dryRun }: SweepRules,
): Promise<{ files: number; bytes: number }> {
  const before = Date.now() - olderThanMs;
  let files = 0;
  let bytes = 0;
  for await (const { name, size, storedAt } of listObjects(calls, keys.staging)) {
    const [upload = '', kind] = name.split('.');
    if (isWritten(upload) || storedAt.getTime() > before) continue;
    const held = kind === 'upload' ? await endUpload(calls, keys.staging + name, keys, dryRun) : size;
    if (!dryRun) await deleteObject(calls, keys.staging + name);
    if (held === null) continue;
    files++;
    bytes += held;
  }
  if (dryRun) return { files, bytes };
  for await (const { name, storedAt } of listObjects(calls, keys.marks)) {
    if (storedAt.getTime() <= before) await deleteObject(calls, keys.marks + name);
  }
  for await (const { name, storedAt } of listObjects(calls, keys.intents)) {
    if (storedAt.getTime() <= before && !isIntended(name)) await deleteObject(calls, keys.intents + name);
  }
  return { files, bytes };
}

/** Ends the upload that a record tells of; what it held in bytes, or null where it had ended. */
async function endUpload(
  calls: Calls,
  recordKey: string,
  keys: Keys,
  dryRun: boolean,
): Promise<number | null> {
  const read = record.safeParse(await readJson(calls, recordKey));
  // A record of somebody else's making leads nowhere.
  if (!read.success || !(read.data.key.startsWith(keys.blobs) || read.data.key.startsWith(keys.staging)))
    return null;
  const { key, id } = read.data;
  const held = await uploadedBytes(calls, key, id);
  if (!dryRun) await abortUpload(calls, key, id);
  return held;
}

async function readJson(calls: Calls, key: string): Promise<unknown> {
  const start = await readStart(calls, key, 4096);
  try {
    return JSON.parse(Buffer.from(start?.bytes ?? []).toString());
  } catch {
    return undefined;
  }
}
