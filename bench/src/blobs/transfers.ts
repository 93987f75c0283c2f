import { randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { uploadForm } from '@morpheo/client';
import { type Api, measured, type StorageContract } from '@morpheo/common';
import { timed } from '../bench.ts';
import type { ServerProcess } from '../process/start-server.ts';
import { saveSynced } from './source-file.ts';

/** One transfer: milliseconds, and seconds of CPU that the server took for it. */
export interface Cost {
  readonly ms: number;
  readonly cpuSeconds: number;
}

/** Does the work, and tells what it cost the server and whoever waited. */
export async function costOf<T>(
  server: ServerProcess,
  work: () => Promise<T>,
): Promise<{ result: T; cost: Cost }> {
  const before = await server.usage();
  const { result, ms } = await timed(work);
  const after = await server.usage();
  return { result, cost: { ms, cpuSeconds: after.cpuSeconds - before.cpuSeconds } };
}

/** Sends a file to storage-api as a form. Returns its id there, and the digest that storage-api tells. */
export async function upload(
  storage: Api<StorageContract>,
  file: string,
  size: number,
): Promise<{ uuid: string; sha256: string }> {
  const fields = { uuid: randomUUID(), size: String(size) };
  const body = uploadForm({ fields, blob: await openAsBlob(file) });
  const stored = await storage.upload({ params: { type: 'data' }, query: {}, body });
  if (!('timestamp_upload' in stored)) throw new Error('storage-api does not tell the digest of an upload');
  return measured(stored);
}

/** Sends a file to storage-api as it is, with no form around it. Returns what {@link upload} does. */
export async function uploadRaw(
  storage: Api<StorageContract>,
  file: string,
  size: number,
): Promise<{ uuid: string; sha256: string }> {
  const blob = await openAsBlob(file);
  const body = { body: blob.stream(), blob, contentType: 'application/octet-stream', contentLength: size };
  const { uuid } = await storage.upload({ params: { type: 'data' }, query: {}, body });
  return measured(await storage.get({ params: { type: 'data', uuid } }));
}

/** Saves what storage-api has under an id, synced. Returns the SHA-256 of what came. */
export async function download(storage: Api<StorageContract>, uuid: string, to: string): Promise<string> {
  const { body } = await storage.getDataBlob({ params: { uuid }, headers: {} });
  if (body === undefined) throw new Error('storage-api answered a download without bytes');
  return await saveSynced(body, to);
}
