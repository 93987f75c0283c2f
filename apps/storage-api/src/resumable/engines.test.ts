import { TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256 } from '../testing/requests.ts';
import { encoded } from './testing.ts';

const BYTES = Buffer.from('a resumable upload');
const version = { 'tus-resumable': TUS_VERSION };

async function create({ api }: TestStorage): Promise<string> {
  const metadata = encoded({ type: 'data', uuid: id(1), sha256: sha256(BYTES) });
  const headers = { ...version, 'upload-length': BYTES.length, 'upload-metadata': metadata };
  const { headers: told } = await api.createUpload({ headers });
  return told.location?.split('/')[1] ?? '';
}

async function send(
  { api }: TestStorage,
  upload: string,
  from: number,
  to: number,
): Promise<string | undefined> {
  const answer = await api.patchUpload({
    params: { upload },
    headers: { ...version, 'upload-offset': from },
    body: bodyOf(BYTES.subarray(from, to), { contentType: TUS_CHUNK_TYPE }),
  });
  return answer.headers['upload-offset'];
}

testOnEngines('a resumable upload is counted chunk by chunk, and appears', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const upload = await create(storage);
  t.is(await send(storage, upload, 0, 5), '5');
  await refused(t, storage.api.get({ params: { type: 'data', uuid: id(1) } }), 'not_found');
  t.is(await send(storage, upload, 5, BYTES.length), String(BYTES.length));
  t.is((await storage.api.get({ params: { type: 'data', uuid: id(1) } })).sha256, sha256(BYTES));
  t.deepEqual(await storage.files(), [sha256(BYTES)]);
});

testOnEngines('a resumable upload that nobody ends is thrown away', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ uploadExpiryMs: 1 });
  const upload = await create(storage);
  await send(storage, upload, 0, 5);
  const head = () => storage.api.headUpload({ params: { upload }, headers: version }).catch(() => undefined);
  // The clock of the database has to go on by a millisecond.
  do await storage.sweep();
  while ((await head()) !== undefined);
  await refused(t, storage.api.headUpload({ params: { upload }, headers: version }), 'not_found');
});
