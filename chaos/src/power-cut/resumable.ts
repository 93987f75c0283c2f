import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import type { Account, Apis, Unfinished } from './account.ts';

const HEADERS = { 'tus-resumable': TUS_VERSION } as const;
const CHUNK_BYTES = 200_000;
const MOST_CHUNKS = 20;

/** Uploads data chunk by chunk, one after another, until nobody answers; keeps what was acknowledged. */
export async function uploadUntilGone(storage: Apis['storage'], account: Account): Promise<void> {
  for (;;) {
    const uuid = randomUUID();
    const bytes = randomBytes(1 + Math.floor(Math.random() * MOST_CHUNKS * CHUNK_BYTES));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    account.sent.set(uuid, sha256);
    const metadata = Object.entries({ type: 'data', uuid, sha256 });
    const { headers } = await storage.createUpload({
      headers: {
        ...HEADERS,
        'upload-length': bytes.length,
        'upload-metadata': metadata
          .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
          .join(','),
      },
    });
    const one = { upload: headers.location?.split('/').at(-1) ?? '', bytes, acknowledged: 0 };
    account.unfinished.set(uuid, one);
    await sendRest(storage, one);
    account.stored.add(uuid);
    account.unfinished.delete(uuid);
  }
}

/**
 * Ends the uploads that a cut has left, from where storage says; resolves with a sentence for each that has lost bytes
 * which were acknowledged.
 */
export async function resumeAll(storage: Apis['storage'], account: Account): Promise<string[]> {
  const lost: string[] = [];
  for (const [uuid, one] of account.unfinished) {
    const { upload, acknowledged } = one;
    const { headers } = await storage.headUpload({ params: { upload }, headers: HEADERS });
    const offset = Number(headers['upload-offset']);
    if (offset < acknowledged)
      lost.push(`upload ${upload} has ${offset} of the ${acknowledged} bytes that were acknowledged`);
    one.acknowledged = offset;
    await sendRest(storage, one);
    account.stored.add(uuid);
    account.unfinished.delete(uuid);
    account.resumed++;
  }
  return lost;
}

async function sendRest(storage: Apis['storage'], one: Unfinished): Promise<void> {
  while (one.acknowledged < one.bytes.length) {
    const chunk = one.bytes.subarray(one.acknowledged, one.acknowledged + CHUNK_BYTES);
    const { headers } = await storage.patchUpload({
      params: { upload: one.upload },
      headers: { ...HEADERS, 'upload-offset': one.acknowledged },
      body: {
        body: new Blob([new Uint8Array(chunk)]).stream(),
        contentType: TUS_CHUNK_TYPE,
        contentLength: chunk.length,
      },
    });
    one.acknowledged = Number(headers['upload-offset']);
  }
}
