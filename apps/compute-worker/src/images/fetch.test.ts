import { gzipSync } from 'node:zlib';
import { OrderFailure, type PinnedReference } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { allowedImagesList, Registries } from '@morpheo/service/registry';
import {
  digestOf,
  makeImage,
  packImage,
  type RegistryRequest,
  startTestRegistry,
  type TestRegistry,
} from '@morpheo/service/registry/testing';
import test from 'ava';
import { openCache } from '../inputs/cache/index.ts';
import type { FetchedImage } from '../runtime/index.ts';
import { fetchImage } from './fetch.ts';

const { signal } = new AbortController();
const runtime = { machine: async () => 'x86_64' };

/** A worker's means to fetch from a registry. */
async function openFetcher(request: RegistryRequest = {}, bytes = 100_000) {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startTestRegistry(request));
  const folder = stack.use(await temporaryFolder());
  const cache = stack.use(await openCache({ folder: folder.path, limitBytes: 2 ** 20, log: silentLog }));
  const registries = registriesOf(registry);
  const lines: string[] = [];
  const progress = { say: (line: string) => void lines.push(line), onBytes: () => undefined };
  const opened = stack.move();
  return {
    ...{ registry, cache, lines },
    fetch: async (reference: PinnedReference, stop = signal) =>
      await fetchImage(reference, { registries, cache, runtime, bytes }, progress, stop),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

function registriesOf({ address }: TestRegistry): Registries {
  return new Registries({ allowed: allowedImagesList.parse(address) });
}

async function bytesOf({ layers }: FetchedImage): Promise<Buffer[]> {
  return await Promise.all(
    layers.map(async (layer) => Buffer.concat(await Array.fromAsync(layer.open(signal)))),
  );
}

const blobsOf = ({ seen }: TestRegistry) => seen.filter(({ path }) => path.includes('/blobs/'));

for (const form of ['tar', 'gzip', 'zstd'] as const)
  test(`Layers that are packed as ${form} come as the archives that they are made of`, async (t) => {
    await using fetcher = await openFetcher();
    const tars = (await makeImage({ form: 'tar', layers: [{ a: 'one' }, { b: 'two' }] })).layers;
    const image = packImage(
      tars.map(({ bytes }) => bytes),
      { form },
    );
    using fetched = await fetcher.fetch(fetcher.registry.put('tool', image));
    t.deepEqual(
      await bytesOf(fetched),
      tars.map(({ bytes }) => bytes),
    );
    t.deepEqual(Buffer.from(fetched.config), image.config.bytes);
    t.deepEqual(
      fetched.layers.map(({ bytes }) => bytes),
      tars.map(({ bytes }) => bytes.byteLength),
    );
  });

test('A second image with the same layers fetches none of them again', async (t) => {
  await using fetcher = await openFetcher();
  const one = await makeImage({ config: { Cmd: ['one'] } });
  const two = await makeImage({ config: { Cmd: ['two'] } });
  t.is(one.layers[0]?.digest, two.layers[0]?.digest);
  (await fetcher.fetch(fetcher.registry.put('tool', one)))[Symbol.dispose]();
  (await fetcher.fetch(fetcher.registry.put('tool', two)))[Symbol.dispose]();
  const asked = blobsOf(fetcher.registry).map(({ path }) => path.split('/').at(-1));
  t.deepEqual(asked, [one.config.digest, one.layers[0]?.digest, two.config.digest]);
  t.regex(
    fetcher.lines.join('\n'),
    /^1 layer of \d+ B\n\d+ B came\n1 layer of \d+ B\nall layers were here already$/,
  );
});

test('A layer of one registry is not had by naming its digest in an image of another', async (t) => {
  await using fetcher = await openFetcher();
  await using other = await startTestRegistry();
  const image = await makeImage();
  (await fetcher.fetch(fetcher.registry.put('tool', image)))[Symbol.dispose]();
  other.putOne('thief', image.config, 'blobs');
  const reference = other.putOne('thief', image.manifest, 'manifests');
  const progress = { say: () => undefined, onBytes: () => undefined };
  const options = { registries: registriesOf(other), cache: fetcher.cache, runtime, bytes: 100_000 };
  const error = await t.throwsAsync(fetchImage(reference, options, progress, signal), {
    instanceOf: OrderFailure,
  });
  t.is(error.end, 'image_missing');
});

test('A download that breaks goes on from where it broke', async (t) => {
  const isLayer = (path: string) => path.endsWith(image.layers[0]?.digest ?? 'none');
  const image = await makeImage({ form: 'tar', layers: [{ file: 'x'.repeat(5000) }] });
  await using fetcher = await openFetcher({
    fault: ({ path }, nth) => (isLayer(path) && nth === 0 ? { cutAfter: 1000 } : undefined),
  });
  using fetched = await fetcher.fetch(fetcher.registry.put('tool', image));
  t.deepEqual(await bytesOf(fetched), [image.layers[0]?.bytes]);
  const ranges = blobsOf(fetcher.registry).flatMap(({ path, range }) => (isLayer(path) ? [range] : []));
  t.deepEqual(ranges, [undefined, 'bytes=1000-']);
});

test('A layer with another digest is asked for anew, and never used', async (t) => {
  const image = await makeImage();
  const wrong = Buffer.from(image.layers[0]?.bytes ?? '').fill(7, 20, 30);
  await using fetcher = await openFetcher({
    fault: ({ path }) => (path.endsWith(image.layers[0]?.digest ?? 'none') ? { bytes: wrong } : undefined),
  });
  const error = await t.throwsAsync(fetcher.fetch(fetcher.registry.put('tool', image)), {
    instanceOf: OrderFailure,
    message: /served the layer sha256:[0-9a-f]{64} with another digest.*Nothing of the image is used/,
  });
  t.is(error.end, 'image_invalid');
  t.is(fetcher.cache.bytes, 0);
});

test('What a layer unpacks to is bounded, known before anything is loaded, and what its image says', async (t) => {
  const bomb = Buffer.alloc(2_000_000);
  const plain = (await makeImage({ form: 'tar', layers: [{ a: 'one' }] })).layers[0]?.bytes ?? bomb;
  const sparse = Buffer.from(plain);
  sparse.write('S', 156, 'latin1');
  const sum = sparse
    .fill(' ', 148, 156)
    .subarray(0, 512)
    .reduce((all, byte) => all + byte, 0);
  sparse.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const other = { rootfs: { type: 'layers', diff_ids: [digestOf(Buffer.from('another'))] } };
  const cases = [
    [packImage([bomb]), 'image_too_large', /unpacks to more than 100 kB/],
    [packImage([gzipSync(bomb)]), 'image_invalid', /packed twice/],
    [packImage([sparse]), 'image_invalid', /sparse file/],
    [
      packImage([Buffer.from('no archive')], { form: 'zstd' }),
      'image_invalid',
      /layer of the image cannot be used/,
    ],
    [packImage([plain.subarray(0, 700)]), 'image_invalid', /not a whole one/],
    [
      packImage([plain], { odd: { config: other } }),
      'image_invalid',
      /other bytes than the image's configuration says/,
    ],
  ] as const;
  await using fetcher = await openFetcher();
  for (const [image, end, message] of cases) {
    const fetched = fetcher.fetch(fetcher.registry.put('tool', image));
    const error = await t.throwsAsync(fetched, { instanceOf: OrderFailure, message }, String(message));
    t.is(error.end, end);
  }
});

test('A layer that is said to be packed as it is not is damaged', async (t) => {
  await using fetcher = await openFetcher();
  const { layers, config } = await makeImage({ form: 'tar' });
  const named = (mediaType: string) =>
    packImage([], {
      odd: {
        config: JSON.parse(config.bytes.toString()),
        manifest: {
          layers: layers.map(({ digest, bytes }) => ({ digest, size: bytes.byteLength, mediaType })),
        },
      },
    });
  for (const form of ['gzip', 'zstd']) {
    const image = named(`application/vnd.oci.image.layer.v1.tar+${form}`);
    const reference = fetcher.registry.put('tool', { ...image, layers });
    await t.throwsAsync(fetcher.fetch(reference), {
      message: new RegExp(`not packed with ${form}, or damaged`),
    });
  }
});

test('An abort in the middle of a layer ends the fetch, and leaves nothing half made', async (t) => {
  const stop = new AbortController();
  const image = await makeImage();
  await using fetcher = await openFetcher({
    fault: ({ path }) => {
      if (!path.endsWith(image.layers[0]?.digest ?? 'none')) return undefined;
      stop.abort(new Error('cancelled'));
      return 'silence';
    },
  });
  const fetched = fetcher.fetch(fetcher.registry.put('tool', image), stop.signal);
  await t.throwsAsync(fetched, { message: 'cancelled' });
  t.is(fetcher.cache.bytes, 0);
});

test('What a registry refuses is the fault of the order, and that it is away is the fault of the platform', async (t) => {
  await using fetcher = await openFetcher({
    fault: ({ path }) => (path.includes('/manifests/') ? undefined : { status: 403, headers: {} }),
  });
  const reference = fetcher.registry.put('tool', await makeImage());
  const refused = await t.throwsAsync(fetcher.fetch(reference), { instanceOf: OrderFailure });
  t.is(refused.end, 'image_not_permitted');
  const away = { ...reference, registry: '127.0.0.1:1' };
  const registries = new Registries({ allowed: allowedImagesList.parse('http://127.0.0.1:1') });
  const progress = { say: () => undefined, onBytes: () => undefined };
  const options = { registries, cache: fetcher.cache, runtime, bytes: 1 };
  await t.throwsAsync(fetchImage(away, options, progress, signal), { code: 'unavailable' });
});
