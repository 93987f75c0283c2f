import { randomBytes } from 'node:crypto';
import { openCalls, putObject } from '@morpheo/service/buckets';
import { keysBelow } from '../blobs/s3/keys.ts';
import { STORE_WORDS } from '../blobs/s3/options.ts';
import { bucketOptions, sharedMinio, minioTest as test } from '../testing/minio.ts';
import { openTestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';

const minio = sharedMinio();

test('one other bit in a bucket is found by readers and scrubs, and healed by an upload', async (t) => {
  const options = await bucketOptions(await minio());
  await using service = await openTestService({ blobs: { kind: 's3', options } });
  using calls = openCalls({ ...options, words: STORE_WORDS });
  const things = [1, 1000, 300_000, 9_000_000].map((size) => randomBytes(size));
  const upload = async (uuid: string, bytes: Buffer) => {
    const body = new Uint8Array(bytes);
    const answer = await service.call('uploader', `/problem?uuid=${uuid}`, { method: 'POST', body });
    t.is(answer.status, 201);
  };
  const read = async (number: number) => {
    const answer = await service.call('uploader', `/problem/${id(number)}/blob`).catch(() => undefined);
    if (answer === undefined || answer.status !== 200) return answer?.status ?? 'broken';
    const bytes = await answer.arrayBuffer().catch(() => undefined);
    if (bytes === undefined) return 'broken';
    return things[number]?.equals(Buffer.from(bytes)) === true ? 'whole' : 'served';
  };
  for (const [number, bytes] of things.entries()) {
    await upload(id(number), bytes);
    const rotten = Buffer.from(bytes);
    rotten[bytes.byteLength >> 1] = (rotten[bytes.byteLength >> 1] ?? 0) ^ 4;
    await putObject(calls, keysBelow().blob(sha256(bytes)), rotten);
  }
  for (const number of [0, 1, 2]) t.is(await read(number), 'broken');
  t.like(await service.scrub(), { damaged: 4, healed: 0 });
  for (const number of things.keys()) t.is(await read(number), 500);
  for (const [number, bytes] of things.entries()) await upload(id(10 + number), bytes);
  for (const number of things.keys()) t.is(await read(number), 'whole');
  t.like(await service.scrub(), { damaged: 0, blobs: 4 });
});
