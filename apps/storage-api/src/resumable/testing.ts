import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { TestCaller, TestService } from '../testing/open-service.ts';
import { sha256 } from '../testing/requests.ts';

/** Calls a service; see `TestService.call`. */
export type CallService = (path: string, init: RequestInit) => Promise<Response>;

/** The protocol as its client speaks it, a request at a time. */
export interface TusCalls {
  create(size: number, metadata: Readonly<Record<string, string>>): Promise<Response>;
  /** `path` is what {@link pathOf} says of what `create` was answered. */
  head(path: string): Promise<Response>;
  patch(
    path: string,
    offset: number,
    chunk: Uint8Array | ReadableStream,
    more?: PatchExtras,
  ): Promise<Response>;
  drop(path: string): Promise<Response>;
}

interface PatchExtras {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The field that every request of the protocol has. */
export const VERSION = { 'tus-resumable': '1.0.0' } as const;

/** Makes {@link TusCalls}. */
export function tusCalls(call: CallService): TusCalls {
  return {
    create: (size, metadata) =>
      call('/v1/uploads', {
        method: 'POST',
        headers: { ...VERSION, 'upload-length': String(size), 'upload-metadata': encoded(metadata) },
      }),
    head: (path) => call(path, { method: 'HEAD', headers: VERSION }),
    patch: (path, offset, chunk, { headers, ...more } = {}) => {
      const init = {
        method: 'PATCH',
        headers: {
          ...VERSION,
          'content-type': 'application/offset+octet-stream',
          'upload-offset': String(offset),
          ...headers,
        },
        body: chunk instanceof ReadableStream ? chunk : new Uint8Array(chunk),
        duplex: 'half',
        ...more,
      };
      return call(path, init);
    },
    drop: (path) => call(path, { method: 'DELETE', headers: VERSION }),
  };
}

/** `Upload-Metadata` of these values. */
export function encoded(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');
}

/** The path of an upload that was created. */
export function pathOf(created: Response): string {
  return new URL(created.headers.get('location') ?? '', 'http://service/v1/uploads').pathname;
}

/** `Upload-Offset` of an answer. */
export function offsetOf(answer: Response): number {
  return Number(answer.headers.get('upload-offset') ?? Number.NaN);
}

/** `Upload-Checksum` of a chunk. */
export function checksumOf(chunk: Uint8Array, algorithm = 'sha256'): Record<string, string> {
  return { 'upload-checksum': `${algorithm} ${createHash(algorithm).update(chunk).digest('base64')}` };
}

/** The calls of somebody. */
export function as(service: TestService, caller: TestCaller): TusCalls {
  return tusCalls((path, init) => service.call(caller, path, init));
}

/** The code of an error. */
export async function codeOf(answer: Response): Promise<string> {
  return ((await answer.json()) as { code: string }).code;
}

/** The files of uploads that have not come to their end. */
export async function left({ folder }: TestService): Promise<string[]> {
  return await readdir(join(folder, 'uploads')).catch(() => []);
}

/** The SHA-256 of the bytes of a thing. */
export async function blobOf(service: TestService, path: string): Promise<string> {
  const answer = await service.call('admin', `${path}/blob`);
  return sha256(Buffer.from(await answer.arrayBuffer()));
}
