import { isPlatformError, PlatformError } from '@morpheo/common';
import {
  type BucketOptions,
  type BucketWords,
  type Calls,
  hasBucket,
  listObjects,
  makeBucket,
  ObjectUpload,
  openCalls,
  partBytesFor,
  putObject,
  readObject,
  readStart,
  statObject,
} from '@morpheo/service/buckets';
import type { JobStore, StoredFile } from './store.ts';

/** How errors call the store and its settings. */
const WORDS: BucketWords = {
  subject: 'The store of buckets',
  keys: 'storage.access_key and storage.secret_key of the configuration',
  endpoint: 'storage.url of the configuration',
  region: 'the region of the server, which should be us-east-1',
  ca: 'NODE_EXTRA_CA_CERTS',
  withoutChecksums: 'another server',
  encryption: 'a policy that demands none',
  noBucket: 'start its job with a payload, or make it',
  badName: 'choose another job_id',
  rights: 'make, list, read and write buckets',
  denied: 'unavailable',
};

/** A bucket that is asked for to find out whether the server answers, and need not be there. */
const ANY = 'does-not-matter';

/** Buckets of a server that speaks S3, which need not be there yet. */
export function openS3Store(options: Omit<BucketOptions, 'bucket' | 'words'>): JobStore {
  const server = openCalls({ ...options, bucket: ANY, words: WORDS });
  return {
    create: async (bucket) => await makeBucket(server.at(bucket), options.region),
    has: async (bucket) => await hasBucket(server.at(bucket)),
    list: (bucket, prefix) => listFiles(server.at(bucket), prefix),
    stat: async (bucket, name) => (await statObject(server.at(bucket), name)) ?? undefined,
    read: async (bucket, name) => await openFile(server.at(bucket), name),
    put: async (bucket, name, bytes, only) => await place(server.at(bucket), name, bytes, only),
    write: async (bucket, name, bytes) => await upload(server.at(bucket), name, bytes),
    ping: async (signal) => await ping(server, signal),
    [Symbol.asyncDispose]: async () => server[Symbol.dispose](),
  };
}

/** Files below this size, as nearly all are, are read with one call. */
const SMALL_BYTES = 256 * 1024;

async function openFile(calls: Calls, name: string): Promise<StoredFile | undefined> {
  const start = await unlessNoBucket(calls, undefined, async () => await readStart(calls, name, SMALL_BYTES));
  if (start === undefined || start === null) return undefined;
  const { bytes, etag } = start;
  if (bytes.byteLength < SMALL_BYTES)
    return { size: bytes.byteLength, body: new Blob([new Uint8Array(bytes)]).stream() };
  const found = await statObject(calls, name);
  if (found === null) return undefined;
  const what = `file ${name}`;
  return { size: found.size, body: await readObject(calls, name, { what, etag: found.etag || etag }) };
}

async function* listFiles(calls: Calls, prefix: string) {
  const files = listObjects(calls, prefix);
  for (;;) {
    const next = await unlessNoBucket(calls, undefined, async () => await files.next());
    if (next === undefined || next.done === true) return;
    yield { name: next.value.name, size: next.value.size };
  }
}

async function place(calls: Calls, name: string, bytes: Uint8Array, only?: 'new'): Promise<void> {
  try {
    await demandBucket(calls, async () => await putObject(calls, name, bytes, { only }));
  } catch (error) {
    if (only === undefined || !isPlatformError(error, 'precondition_failed')) throw error;
  }
}

async function upload(calls: Calls, name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const partBytes = partBytesFor(MOST_BYTES, calls.tuning.partBytes);
  await using object = new ObjectUpload(calls, name, { partBytes });
  await demandBucket(calls, async () => {
    for await (const piece of bytes) await object.write(piece);
    await object.complete(await object.end());
  });
}

/** The largest file that is stored, in bytes: parts are so large that it fits. */
const MOST_BYTES = 64 * 1024 ** 3;

async function ping(calls: Calls, signal: AbortSignal): Promise<void> {
  await Promise.race([
    hasBucket(calls),
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  ]);
}

/** What a call resolves to, or `instead` where it fails and there is no such bucket. */
async function unlessNoBucket<T, U>(calls: Calls, instead: U, call: () => Promise<T>): Promise<T | U> {
  try {
    return await call();
  } catch (error) {
    if (await hasBucket(calls)) throw error;
    return instead;
  }
}

async function demandBucket(calls: Calls, call: () => Promise<void>): Promise<void> {
  const NONE = 'none';
  const found = await unlessNoBucket(calls, NONE, call);
  if (found === NONE) throw new PlatformError('not_found', `There is no bucket ${calls.bucket}.`);
}
