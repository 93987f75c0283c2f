import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { NIL_UUID, OrderFailure, PlatformError } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { MemoryStorage } from '../testing/memory-storage.ts';
import { openCache } from './cache/index.ts';
import { Inputs } from './fetch.ts';

const { signal } = new AbortController();

async function open() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const cache = stack.use(await openCache({ folder: folder.path, limitBytes: 1e9, log: silentLog }));
  const storage = new MemoryStorage();
  const inputs = new Inputs(cache);
  return { storage, inputs, cache, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test('An input that many want at once is downloaded once', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'some data');
  const fetch = () => setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  const blobs = await Promise.all(Array.from({ length: 10 }, fetch));
  t.is(setup.storage.downloadsOf(uuid), 1);
  t.deepEqual(new Set(blobs.map(({ path }) => path)).size, 1);
  t.is(await readFile(blobs[0]?.path ?? '', 'utf8'), 'some data');
});

for (const [type, downloads, title] of [
  ['model', 1, 'Two models with the same bytes are downloaded once'],
  [
    'data',
    2,
    'Of two data sets with the same bytes each is downloaded: else a guess at one would be confirmed',
  ],
] as const) {
  test(title, async (t) => {
    await using setup = await open();
    const [one, two] = [setup.storage.put(type, 'same'), setup.storage.put(type, 'same')];
    for (const uuid of [one, two]) await setup.inputs.fetch({ type, uuid }, setup.storage.api, signal);
    t.is(setup.storage.downloadsOf(one) + setup.storage.downloadsOf(two), downloads);
  });
}

test('A download that is cut resumes where it was', async (t) => {
  await using setup = await open();
  const bytes = randomBytes(100_000);
  const uuid = setup.storage.put('data', bytes);
  let cuts = 2;
  setup.storage.served = async function* (rest) {
    if (cuts === 0) return yield rest;
    cuts -= 1;
    yield rest.subarray(0, 30_000);
    throw new TypeError('terminated');
  };
  const blob = await setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  t.deepEqual(setup.storage.downloads.get(uuid), ['', 'bytes=30000-', 'bytes=60000-']);
  t.true((await readFile(blob.path)).equals(bytes));
});

test('A download that ends early without an error is resumed as well', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'a whole sentence');
  let first = true;
  setup.storage.served = (bytes) => {
    const part = first ? bytes.subarray(0, 7) : bytes;
    first = false;
    return [part];
  };
  const blob = await setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  t.is(await readFile(blob.path, 'utf8'), 'a whole sentence');
});

test('Wrong bytes are fetched again and never kept', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'right bytes');
  let first = true;
  setup.storage.served = (bytes) => {
    const served = first ? Buffer.from('wrong bytes') : bytes;
    first = false;
    return [served];
  };
  const blob = await setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  t.is(await readFile(blob.path, 'utf8'), 'right bytes');
  const worse = setup.storage.put('data', 'others');
  setup.storage.served = () => [Buffer.from('liars!')];
  await t.throwsAsync(setup.inputs.fetch({ type: 'data', uuid: worse }, setup.storage.api, signal), {
    code: 'digest_mismatch',
  });
  t.is(setup.storage.downloadsOf(worse), 3);
  t.is(setup.cache.bytes, 'right bytes'.length);
});

test('More bytes than promised are refused before they are written', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'short');
  setup.storage.served = () => [Buffer.alloc(1000)];
  await t.throwsAsync(setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal), {
    code: 'digest_mismatch',
  });
});

test('An empty input is an empty file', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', '');
  const blob = await setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  t.is((await readFile(blob.path)).length, 0);
});

test('An input that storage does not know is the fault of the order', async (t) => {
  await using setup = await open();
  const uuid = randomUUID();
  const error = await t.throwsAsync(setup.inputs.fetch({ type: 'algo', uuid }, setup.storage.api, signal), {
    instanceOf: OrderFailure,
  });
  t.is(error.failure.reason, 'input_not_found');
  t.true(error.message.includes(`algo ${uuid}`));
  const nil = setup.inputs.fetch({ type: 'model', uuid: NIL_UUID }, setup.storage.api, signal);
  t.is((await t.throwsAsync(nil, { instanceOf: OrderFailure })).failure.reason, 'input_not_found');
});

test('A call of storage is repeated while storage is away for a moment', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'patience');
  let faults = 2;
  setup.storage.fault = () => {
    faults -= 1;
    return faults < 0 ? undefined : new PlatformError('unavailable', 'Storage is away.');
  };
  const blob = await setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, signal);
  t.is(blob.bytes, 8);
});

test('What is refused to the ticket of one attempt is fetched by another that waits for it', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'for the second alone');
  setup.storage.admits = (ticket) => ticket === 'second' || setup.storage.shown.length <= 2;
  const fetch = (ticket: string) =>
    setup.inputs.fetch(
      { type: 'data', uuid },
      setup.storage.seenBy(() => ticket),
      signal,
    );
  const [first, second] = [fetch('first'), fetch('second')];
  await t.throwsAsync(first, { code: 'unauthenticated' });
  t.is((await second).bytes, 20);
});

test('An abort ends a download that hangs', async (t) => {
  await using setup = await open();
  const uuid = setup.storage.put('data', 'never');
  const asked = Promise.withResolvers<void>();
  setup.storage.served = async function* () {
    asked.resolve();
    await new Promise(() => undefined);
    yield Buffer.alloc(0);
  };
  const stop = new AbortController();
  const fetching = setup.inputs.fetch({ type: 'data', uuid }, setup.storage.api, stop.signal);
  await asked.promise;
  stop.abort(new Error('enough'));
  await t.throwsAsync(fetching, { message: 'enough' });
  t.is(setup.cache.bytes, 0);
});
