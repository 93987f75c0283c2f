import { type PinnedReference, parsePinnedImage } from '@morpheo/common';
import type { Stored, TestImage } from './image.ts';

/** Where a test pushes images: a registry of its own, by http. */
export interface PushTarget {
  /** With its port. */
  readonly host: string;
  readonly credentials: { readonly username: string; readonly password: string };
}

/**
 * Pushes an image, and says what its reference is. Source: OCI Distribution Specification 1.1, "Pushing a blob
 * monolithically".
 */
export async function pushImage(
  { host, credentials: { username, password } }: PushTarget,
  repository: string,
  { manifest, config, layers }: TestImage,
): Promise<PinnedReference> {
  const base = `http://${host}/v2/${repository}`;
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const call = async (method: string, url: string | URL, { bytes, mediaType }: Partial<Stored> = {}) => {
    const headers = { authorization, ...(mediaType !== undefined && { 'content-type': mediaType }) };
    const body = bytes === undefined ? null : Uint8Array.from(bytes);
    const response = await fetch(url, { method, headers, body });
    if (response.ok) return response;
    throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  };
  for (const { digest, bytes } of [config, ...layers]) {
    const begun = await call('POST', `${base}/blobs/uploads/`);
    const at = new URL(begun.headers.get('location') ?? '', base);
    at.searchParams.set('digest', digest);
    await call('PUT', at, { bytes, mediaType: 'application/octet-stream' });
  }
  await call('PUT', `${base}/manifests/${manifest.digest}`, manifest);
  return parsePinnedImage(`${host}/${repository}@${manifest.digest}`);
}
