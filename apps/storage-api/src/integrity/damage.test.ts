import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { openTestService, type TestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';

const SIZES = [1, 17, 1000, 65_536, 262_143, 262_144, 262_145, 700_000];

/** The bytes of the blob of a number: other ones for each. */
function bytesOf(number: number): Buffer {
  const bytes = Buffer.alloc(SIZES[number % SIZES.length] ?? 1, number);
  if (bytes.byteLength > 4) bytes.writeUInt32LE(number);
  return bytes;
}

const fileOf = ({ folder }: TestService, digest: string) => join(folder, 'blobs', digest.slice(0, 2), digest);

/** Flips one bit of a file; `at` says which, from 0 to 1. */
async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const { size } = await file.stat();
  const bit = Math.floor(at * size * 8);
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, bit >> 3);
  byte[0] = (byte[0] ?? 0) ^ (1 << (bit & 7));
  await file.write(byte, 0, 1, bit >> 3);
}

async function upload(service: TestService, number: number): Promise<void> {
  const body = new Uint8Array(bytesOf(number));
  const answer = await service.call('uploader', `/problem?uuid=${id(number)}`, { method: 'POST', body });
  if (answer.status !== 201) throw new Error(await answer.text());
}

const get = async (service: TestService, number: number, headers = {}) =>
  await service.call('uploader', `/problem/${id(number)}/blob`, { headers });

/** What a client makes of a download: `whole`, `broken` where the connection is cut, or the error's code. */
async function outcome(asked: Promise<Response>, expected: Buffer): Promise<string> {
  const answer = await asked.catch(() => undefined);
  if (answer === undefined) return 'broken';
  if (answer.status !== 200) return ((await answer.json()) as { code: string }).code;
  const bytes = await answer.arrayBuffer().catch(() => undefined);
  if (bytes === undefined) return 'broken';
  return expected.equals(Buffer.from(bytes)) ? 'whole' : 'served';
}

test('a blob that is known to be damaged is named, whole or in part', async (t) => {
  await using service = await openTestService();
  await upload(service, 3);
  const digest = sha256(bytesOf(3));
  await flip(fileOf(service, digest), 0.5);
  t.is(await outcome(get(service, 3), bytesOf(3)), 'broken');
  const answer = await get(service, 3, { range: 'bytes=0-9' });
  t.is(answer.status, 500);
  const body = (await answer.json()) as { code: string; blob: string; error: string };
  t.is(body.code, 'damaged');
  t.is(body.blob, digest);
  t.true(body.error.includes(id(3)) && body.error.includes(digest));
});

test('who uploads the bytes again heals them', async (t) => {
  await using service = await openTestService();
  await upload(service, 7);
  await flip(fileOf(service, sha256(bytesOf(7))), 0.9);
  t.is(await outcome(get(service, 7), bytesOf(7)), 'broken');
  const body = new Uint8Array(bytesOf(7));
  t.is((await service.call('uploader', `/algo?uuid=${id(9)}`, { method: 'POST', body })).status, 201);
  t.is(await outcome(get(service, 7), bytesOf(7)), 'whole');
});

test('a scrub finds what is damaged and lost, and takes the mark from what is good', async (t) => {
  await using service = await openTestService();
  for (const number of [1, 2, 3, 4]) await upload(service, number);
  const [rotten, lost] = [sha256(bytesOf(1)), sha256(bytesOf(2))];
  await flip(fileOf(service, rotten), 0.1);
  await rm(fileOf(service, lost));
  t.like(await service.scrub(), { blobs: 4, damaged: 2, healed: 0, outcome: 'ended' });
  for (const number of [1, 2]) t.is(await outcome(get(service, number), bytesOf(number)), 'damaged');
  for (const number of [3, 4]) t.is(await outcome(get(service, number), bytesOf(number)), 'whole');
  await flip(fileOf(service, rotten), 0.1);
  t.like(await service.scrub(), { blobs: 4, damaged: 1, healed: 1 });
  t.is(await outcome(get(service, 1), bytesOf(1)), 'whole');
});

test('a scrub that was cut goes on where it was', async (t) => {
  await using service = await openTestService();
  for (let number = 0; number < 8; number++) await upload(service, number);
  const stop = new AbortController();
  let before = 0;
  const progress = ({ blobs }: { blobs: number }) => {
    before = blobs;
    if (blobs === 3) stop.abort(new Error('cut'));
  };
  await t.throwsAsync(service.scrub({ progress, signal: stop.signal }), { message: 'cut' });
  t.is(before, 3);
  t.like(await service.scrub({ everyMs: 3_600_000 }), { blobs: 5, outcome: 'ended' });
  t.like(await service.scrub({ everyMs: 3_600_000 }), { blobs: 0, outcome: 'early' });
});

test('a scrub reads no faster than it may', async (t) => {
  await using service = await openTestService();
  await upload(service, 7);
  const began = performance.now();
  await service.scrub({ rate: 7_000_000 });
  t.true(performance.now() - began > 90);
});
