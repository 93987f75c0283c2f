import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDigestField } from '@morpheo/common';
import { openCalls, putObject } from '@morpheo/service/buckets';
import { readFigures } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import type { BlobLocation } from '../blobs/index.ts';
import { keysBelow } from '../blobs/s3/keys.ts';
import { STORE_WORDS } from '../blobs/s3/options.ts';
import { bucketOptions, minioTest, sharedMinio } from '../testing/minio.ts';
import { openTestService, type TestService } from '../testing/open-service.ts';
import { id, sha256, sorted } from '../testing/requests.ts';

const BLOBS = Number(process.env.BLOBS ?? 50);
const SIZES = [1, 17, 1000, 65_536, 262_143, 262_144, 262_145, 700_000];
/** So many requests at once. */
const AT_ONCE = 8;
const NUMBERS = Array.from({ length: BLOBS }, (_, index) => index);

const minio = sharedMinio();

/** The bytes of a number: other ones for each. */
function bytesOf(number: number): Buffer {
  // Of one byte there are too few for many.
  const size = SIZES[number < SIZES.length ? number : 1 + (number % (SIZES.length - 1))] ?? 1;
  const bytes = Buffer.alloc(size, number);
  if (size > 4) bytes.writeUInt32LE(number);
  return bytes;
}

/** Does something for each number, some at once; resolves with what came of it, in their order. */
async function forEach<T>(work: (number: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const hands = Array.from({ length: AT_ONCE }, async () => {
    for (let number = next++; number < BLOBS; number = next++) results[number] = await work(number);
  });
  await Promise.all(hands);
  return results;
}

/** A service, and the way behind its back to what it stores. */
interface Rotting extends AsyncDisposable {
  readonly service: TestService;
  write(digest: string, bytes: Buffer): Promise<void>;
}

async function inFolder(): Promise<Rotting> {
  const service = await openTestService();
  const pathOf = (digest: string) => join(service.folder, 'blobs', digest.slice(0, 2), digest);
  return {
    service,
    write: (digest, bytes) => writeFile(pathOf(digest), bytes),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

async function inBucket(): Promise<Rotting> {
  const options = { ...(await bucketOptions(await minio())), links: { seconds: 60 } };
  const place: BlobLocation = { kind: 's3', options };
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await openTestService({ blobs: place }));
  const calls = stack.use(openCalls({ ...options, words: STORE_WORDS }));
  const keyOf = (digest: string) => keysBelow().blob(digest);
  const opened = stack.move();
  return {
    service,
    write: async (digest, bytes) => void (await putObject(calls, keyOf(digest), bytes)),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Flips one bit of each blob; `shift` decides which. */
async function rot({ write }: Rotting, shift: number): Promise<void> {
  await forEach(async (number) => {
    const bytes = bytesOf(number);
    const digest = sha256(bytes);
    const bit = Math.floor((((number * 31 + shift) % BLOBS) / BLOBS) * bytes.byteLength * 8);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    await write(digest, bytes);
  });
}

/** Uploads all, under ids that begin at `from`. */
async function uploadAll({ service }: Rotting, from: number): Promise<void> {
  const statuses = await forEach(async (number) => {
    const body = new Uint8Array(bytesOf(number));
    const path = `/problem?uuid=${id(from + number)}`;
    return (await service.call('uploader', path, { method: 'POST', body })).status;
  });
  if (statuses.some((status) => status !== 201)) throw new Error(statuses.join());
}

/** What a client makes of a download: `whole`, `broken` where the connection is cut, `served` others, or the code. */
async function outcome({ service }: Rotting, number: number, init: RequestInit = {}): Promise<string> {
  const answer = await service.call('uploader', `/problem/${id(number)}/blob`, init).catch(() => undefined);
  if (answer === undefined) return 'broken';
  if (init.method === 'HEAD') return String(answer.status);
  if (answer.status >= 300) return ((await answer.json()) as { code: string }).code;
  const bytes = await answer.arrayBuffer().catch(() => undefined);
  if (bytes === undefined) return 'broken';
  return bytesOf(number).equals(Buffer.from(bytes)) ? 'whole' : 'served';
}

const outcomesOf = async (place: Rotting, init?: RequestInit) =>
  sorted(new Set(await forEach((number) => outcome(place, number, init))));

/** Every way to a blob that is known to be damaged. */
async function allRefused(t: ExecutionContext, place: Rotting): Promise<void> {
  t.deepEqual(await outcomesOf(place), ['damaged']);
  t.deepEqual(await outcomesOf(place, { headers: { range: 'bytes=0-0' } }), ['damaged']);
  t.deepEqual(await outcomesOf(place, { headers: { prefer: 'redirect' }, redirect: 'manual' }), ['damaged']);
  t.deepEqual(await outcomesOf(place, { method: 'HEAD' }), ['500']);
}

async function bitRot(t: ExecutionContext, place: Rotting): Promise<void> {
  t.timeout(300_000 + BLOBS * 1000);
  const figures = async () => {
    const all = await readFigures(place.service.url);
    return [all.get('morpheo_storage_damaged_blobs_found_total'), all.get('morpheo_storage_damaged_blobs')];
  };
  await uploadAll(place, 0);
  t.is(new Set(NUMBERS.map((number) => sha256(bytesOf(number)))).size, BLOBS);
  await rot(place, 0);
  t.deepEqual(await outcomesOf(place), ['broken'], 'readers');
  await allRefused(t, place);
  t.deepEqual(await figures(), [BLOBS, BLOBS]);
  await uploadAll(place, BLOBS);
  t.deepEqual(await outcomesOf(place), ['whole']);
  await rot(place, 7);
  t.like(await place.service.scrub({ rate: 1e9 }), { blobs: BLOBS, damaged: BLOBS, healed: 0 });
  await allRefused(t, place);
  t.is((await figures())[0], 2 * BLOBS);
  t.log(`${2 * BLOBS} flipped bits: ${BLOBS} found by readers, ${BLOBS} by a scrub, none served as good`);
}

ava('each flipped bit is found by readers and by the scrub in a folder', async (t) => {
  await using place = await inFolder();
  await bitRot(t, place);
});

minioTest('each flipped bit is found by readers and by the scrub in a bucket', async (t) => {
  await using place = await inBucket();
  await bitRot(t, place);
});

/** The digest of a whole goes with each part and each link of it: who has put all together compares them. */
async function partsTellTheirDigest(t: ExecutionContext, place: Rotting, links: boolean): Promise<void> {
  const body = new Uint8Array(bytesOf(3));
  await place.service.call('uploader', `/problem?uuid=${id(3)}`, { method: 'POST', body });
  const digest = sha256(bytesOf(3));
  const told = formatDigestField(digest);
  const rotten = bytesOf(3);
  rotten[0] = (rotten[0] ?? 0) ^ 1;
  await place.write(digest, rotten);
  const get = (headers: Record<string, string>) =>
    place.service.call('uploader', `/problem/${id(3)}/blob`, { headers, redirect: 'manual' });
  const part = await get({ range: 'bytes=0-9' });
  t.is(part.status, 206);
  t.is(part.headers.get('repr-digest'), told);
  await part.arrayBuffer();
  if (!links) return;
  const link = await get({ prefer: 'redirect' });
  t.is(link.status, 307);
  t.is(link.headers.get('repr-digest'), told);
}

ava('a part of a blob goes out with the digest of the whole', async (t) => {
  await using place = await inFolder();
  await partsTellTheirDigest(t, place, false);
});

minioTest('a part of an object, and a link to it, go out with the digest of the whole', async (t) => {
  await using place = await inBucket();
  await partsTellTheirDigest(t, place, true);
});
