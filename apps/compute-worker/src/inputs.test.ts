import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { NIL_UUID, OrderFailure, PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { temporaryFolder } from './archive/testing.ts';
import { openCache } from './cache/index.ts';
import { createInputs } from './inputs.ts';
import { MemoryStorage } from './testing/memory-storage.ts';

const { signal } = new AbortController();

async function open() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const cache = stack.use(await openCache({ folder: folder.path, limitBytes: 1e9, log: silentLog }));
  const storage = new MemoryStorage();
  const inputs = createInputs({ storage: storage.api, cache });
  return { storage, inputs, cache, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test('An input that many want at once is downloaded once', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'some data');
  const fetch = () => bench.inputs.fetch({ type: 'data', uuid }, signal);
  const blobs = await Promise.all(Array.from({ length: 10 }, fetch));
  t.is(bench.storage.downloadsOf(uuid), 1);
  t.deepEqual(new Set(blobs.map(({ path }) => path)).size, 1);
  t.is(await readFile(blobs[0]?.path ?? '', 'utf8'), 'some data');
});

test('Two things with the same bytes are downloaded once', async (t) => {
  await using bench = await open();
  const [one, two] = [bench.storage.put('data', 'same'), bench.storage.put('data', 'same')];
  for (const uuid of [one, two]) await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.is(bench.storage.downloadsOf(one) + bench.storage.downloadsOf(two), 1);
});

test('A download that is cut goes on where it was', async (t) => {
  await using bench = await open();
  const bytes = randomBytes(100_000);
  const uuid = bench.storage.put('data', bytes);
  let cuts = 2;
  bench.storage.served = async function* (rest) {
    if (cuts === 0) return yield rest;
    cuts -= 1;
    yield rest.subarray(0, 30_000);
    throw new TypeError('terminated');
  };
  const blob = await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.deepEqual(bench.storage.downloads.get(uuid), ['', 'bytes=30000-', 'bytes=60000-']);
  t.true((await readFile(blob.path)).equals(bytes));
});

test('A download that ends early without an error goes on as well', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'a whole sentence');
  let first = true;
  bench.storage.served = (bytes) => {
    const part = first ? bytes.subarray(0, 7) : bytes;
    first = false;
    return [part];
  };
  const blob = await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.is(await readFile(blob.path, 'utf8'), 'a whole sentence');
});

test('Wrong bytes are fetched again and never kept', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'right bytes');
  let first = true;
  bench.storage.served = (bytes) => {
    const served = first ? Buffer.from('wrong bytes') : bytes;
    first = false;
    return [served];
  };
  const blob = await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.is(await readFile(blob.path, 'utf8'), 'right bytes');
  const worse = bench.storage.put('data', 'others');
  bench.storage.served = () => [Buffer.from('liars!')];
  await t.throwsAsync(bench.inputs.fetch({ type: 'data', uuid: worse }, signal), { code: 'digest_mismatch' });
  t.is(bench.storage.downloadsOf(worse), 3);
  t.is(bench.cache.bytes, 'right bytes'.length);
});

test('More bytes than promised are refused before they are written', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'short');
  bench.storage.served = () => [Buffer.alloc(1000)];
  await t.throwsAsync(bench.inputs.fetch({ type: 'data', uuid }, signal), { code: 'digest_mismatch' });
});

test('An empty input is an empty file', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', '');
  const blob = await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.is((await readFile(blob.path)).length, 0);
});

test('An input that storage does not know is the fault of the order', async (t) => {
  await using bench = await open();
  const uuid = randomUUID();
  const error = await t.throwsAsync(bench.inputs.fetch({ type: 'algo', uuid }, signal), {
    instanceOf: OrderFailure,
  });
  t.is(error.failure.reason, 'input_not_found');
  t.true(error.message.includes(`algo ${uuid}`));
  const nil = bench.inputs.fetch({ type: 'model', uuid: NIL_UUID }, signal);
  t.is((await t.throwsAsync(nil, { instanceOf: OrderFailure })).failure.reason, 'input_not_found');
});

test('A storage that is away for a moment is waited for', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'patience');
  let faults = 2;
  bench.storage.fault = () => {
    faults -= 1;
    return faults < 0 ? undefined : new PlatformError('unavailable', 'Storage is away.');
  };
  const blob = await bench.inputs.fetch({ type: 'data', uuid }, signal);
  t.is(blob.bytes, 8);
});

test('An abort ends a download that hangs', async (t) => {
  await using bench = await open();
  const uuid = bench.storage.put('data', 'never');
  const asked = Promise.withResolvers<void>();
  bench.storage.served = async function* () {
    asked.resolve();
    await new Promise(() => undefined);
    yield Buffer.alloc(0);
  };
  const stop = new AbortController();
  const fetching = bench.inputs.fetch({ type: 'data', uuid }, stop.signal);
  await asked.promise;
  stop.abort(new Error('enough'));
  await t.throwsAsync(fetching, { message: 'enough' });
  t.is(bench.cache.bytes, 0);
});
