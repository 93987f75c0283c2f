import { PlatformError } from '@morpheo/common';
import type { BlobStore } from '../blobs/index.ts';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id } from '../testing/requests.ts';

const upload = ({ api }: TestStorage) =>
  api.upload({
    params: { type: 'data' },
    query: {},
    body: formOf(['uuid', id(1)], ['size', '1'], ['blob', 'bytes']),
  });

/** A store that can receive nothing: it fails with `error`. */
const failing =
  (error: Error) =>
  (blobs: BlobStore): BlobStore => ({
    receive: () => Promise.reject(error),
    get: (...given) => blobs.get(...given),
    stat: (...given) => blobs.stat(...given),
    remove: (...given) => blobs.remove(...given),
    list: () => blobs.list(),
    sweep: (...given) => blobs.sweep(...given),
    ping: (...given) => blobs.ping(...given),
  });

testOnEngines('a disk that fails is told as our fault, without its secrets', async (t, openTestStorage) => {
  const cause = new Error('EIO: i/o error, write /secret/place');
  await using storage = await openTestStorage({}, failing(cause));
  const error = await refused(
    t,
    upload(storage),
    'internal',
    /^\[Error uploading data\] Error writing blob content to storage: /,
  );
  t.notRegex(error?.message ?? '', /secret/);
  t.is(error?.cause, cause);
});

testOnEngines('a disk that is full is told as such, and may be tried again', async (t, openTestStorage) => {
  const full = new PlatformError('disk_full', 'There is no room left.');
  await using storage = await openTestStorage({}, failing(full));
  const error = await refused(
    t,
    upload(storage),
    'disk_full',
    '[Error uploading data] There is no room left.',
  );
  t.true(error?.retry);
});

testOnEngines('a database that fails is no conflict', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await storage.database[Symbol.asyncDispose]();
  await refused(
    t,
    upload(storage),
    'unavailable',
    new RegExp(`^Error inserting data ${id(1)} in database: `),
  );
  const list = storage.api.list({ params: { type: 'data' }, query: {} });
  await refused(t, list, 'unavailable');
  await refused(t, storage.api.get({ params: { type: 'data', uuid: id(1) } }), 'unavailable');
});

testOnEngines(
  'a database that fails after the bytes are stored leaves them to the sweep',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    async function* source() {
      yield Buffer.from('bytes');
      await storage.database[Symbol.asyncDispose]();
    }
    const body = bodyOf('', { body: source(), contentLength: undefined });
    const send = storage.api.upload({ params: { type: 'data' }, query: { uuid: id(1) }, body });
    await refused(t, send, 'unavailable', /^Error inserting data /);
    t.is((await storage.files()).length, 1);
    t.true(storage.log.entries.some(({ level }) => level === 'warn'));
  },
);
