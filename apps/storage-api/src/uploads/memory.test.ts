import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { startMinio } from '@morpheo/real-parts';
import test, { type ExecutionContext } from 'ava';
import { minioTest } from '../testing/minio.ts';
import { type ChildBucket, type ServiceProcess, spawnService } from '../testing/spawn-service.ts';

const MEBIBYTE = 1024 * 1024;
const HEAD =
  '--XX\r\nContent-Disposition: form-data; name="size"\r\n\r\n1\r\n--XX\r\nContent-Disposition: form-data; name="blob"\r\n\r\n';

function* bytes(count: number, head = '', tail = ''): Generator<Buffer> {
  yield Buffer.from(head);
  // Pieces that differ, so that no two blobs are the same.
  for (let at = 0; at < count; at += 65_536)
    yield Buffer.alloc(Math.min(65_536, count - at), `${count} ${at} ${tail.length}`);
  yield Buffer.from(tail);
}

async function upload({ url }: ServiceProcess, type: string, body: Iterable<Buffer>): Promise<string> {
  const call = request(`${url}/data`, { method: 'POST', headers: { 'content-type': type } });
  const answered = once(call, 'response');
  await pipeline(Readable.from(body), call);
  const [answer] = await answered;
  const { uuid } = (await json(answer)) as { uuid: string };
  return uuid;
}

async function download({ url }: ServiceProcess, uuid: string): Promise<number> {
  const answer = await fetch(`${url}/data/${uuid}/blob`);
  let size = 0;
  for await (const piece of answer.body ?? []) size += piece.byteLength;
  return size;
}

/** Uploads so many bytes in both dialects, and downloads them. */
async function exchange(service: ServiceProcess, count: number): Promise<number[]> {
  const raw = await upload(service, 'application/octet-stream', bytes(count));
  const form = await upload(
    service,
    'multipart/form-data; boundary=XX',
    bytes(count, HEAD, '\r\n--XX--\r\n'),
  );
  return [await download(service, raw), await download(service, form)];
}

/** Sends a large blob to and fro, twice, and expects that memory hardly grows. */
async function staysFlat(t: ExecutionContext, bucket?: ChildBucket): Promise<void> {
  t.timeout(180_000);
  const folder = await mkdtemp(join(tmpdir(), 'storage-memory-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await using service = await spawnService(folder, bucket);
  for (let warmUp = 0; warmUp < 3; warmUp++) await exchange(service, 2 * MEBIBYTE + warmUp);
  const before = await service.peakBytes();
  const size = 256 * MEBIBYTE;
  t.deepEqual(await exchange(service, size), [size, size]);
  const raised = (await service.peakBytes()) - before;
  t.log(`peak memory rose by ${(raised / MEBIBYTE).toFixed(1)} MiB`);
  t.true(raised < 64 * MEBIBYTE);
}

const linux = process.platform === 'linux' ? test : test.skip;

linux('a large blob takes no more memory than a small one', async (t) => await staysFlat(t));

const linuxWithMinio = process.platform === 'linux' ? minioTest : test.skip;

linuxWithMinio('a large blob that goes to a bucket takes no more memory either', async (t) => {
  await using server = await startMinio();
  const { endpoint, credentials } = server;
  await staysFlat(t, { bucket: await server.createBucket(), endpoint, ...credentials });
});
