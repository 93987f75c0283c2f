import { fileURLToPath } from 'node:url';
import type { Api, StorageContract } from '@morpheo/common';
import { archiveOf } from '../../scenarios/archives.ts';
import { uploadThing } from '../../scenarios/uploads.ts';

const ECHO = fileURLToPath(new URL('echo/', import.meta.url));

/**
 * Uploads a model that answers `{"input": x}` with `{"result": x}`, fails at `{"fail": "why"}`, and speaks the contract of
 * warm runners; returns what jobs call it, where no registry is configured.
 */
export async function uploadEcho(storage: Api<StorageContract>): Promise<string> {
  return await uploadThing(storage, 'algo', { name: 'echo' }, await archiveOf(ECHO));
}
