import { inspect } from 'node:util';
import { type PinnedReference, parseImageReference } from '@morpheo/common';
import { createAuthority } from '@morpheo/real-parts';
import test from 'ava';
import { allowedImagesList } from './allowed.ts';
import { registryCredentials } from './credentials.ts';
import { findImage } from './image.ts';
import { ImageRefusal } from './refusal.ts';
import { Registries, type RegistriesOptions } from './registries.ts';
import {
  makeImage,
  makeIndex,
  packImage,
  type RegistryRequest,
  startTestRegistry,
  type TestImage,
  type TestRegistry,
  tagged,
} from './testing/index.ts';

const { signal } = new AbortController();
const WHO = { username: 'robot', password: 'of-the-test-only' } as const;

/** What fetches from a registry of a test as an operator would have it set up. */
function registriesFor({ address }: TestRegistry, options: Partial<RegistriesOptions> = {}): Registries {
  return new Registries({ allowed: allowedImagesList.parse(address), ...options });
}

function credentialsFor(place: string) {
  const auth = Buffer.from(`${WHO.username}:${WHO.password}`).toString('base64');
  const text = JSON.stringify({ auths: { [place]: { auth } } });
  return () => registryCredentials.parse(text);
}

const wanted = { architecture: 'amd64', bounds: { bytes: 1000 } } as const;

async function find(registries: Registries, reference: PinnedReference) {
  return await findImage(registries, reference, wanted, signal);
}

async function textOf(
  registries: Registries,
  reference: PinnedReference,
  digest: string,
  at = 0,
): Promise<string> {
  const { body } = await registries.blob(reference, digest, at, signal);
  return await new Response(body).text();
}

function partOf({ layers }: TestImage, at: number): string {
  return layers.map(({ bytes }) => bytes.subarray(at).toString()).join();
}

for (const kind of ['oci', 'docker'] as const)
  test(`An image in the words of ${kind} is found by its digest, and in an index the one for the architecture`, async (t) => {
    await using registry = await startTestRegistry();
    const [image, other] = [await makeImage({ kind }), await makeImage({ kind, architecture: 'arm64' })];
    const reference = registry.put('team/tool', image);
    registry.put('team/tool', other);
    const index = makeIndex(
      { 'unknown/unknown': other, 'linux/arm64/v8': other, 'linux/amd64': image },
      kind,
    );
    const ofAll = registry.putOne('team/tool', index, 'manifests', 'v1');
    const registries = registriesFor(registry);
    for (const one of [reference, ofAll]) {
      const { layers, config } = await find(registries, one);
      t.is(config.architecture, 'amd64');
      t.deepEqual(
        layers.map(({ digest, form }) => [digest, form]),
        [[image.layers[0]?.digest, 'gzip']],
      );
    }
    t.is(await registries.resolve(tagged(reference, 'v1'), signal), index.digest);
  });

test('An image for another architecture is refused with what there is', async (t) => {
  await using registry = await startTestRegistry();
  const image = await makeImage({ architecture: 'arm64' });
  const alone = registry.put('tool', image);
  const index = registry.putOne(
    'tool',
    makeIndex({ 'linux/arm64': image, 'windows/amd64': image }),
    'manifests',
  );
  const registries = registriesFor(registry);
  const end = 'image_of_other_architecture';
  const one = await t.throwsAsync<ImageRefusal>(find(registries, alone), {
    message: /is for linux\/arm64, and this worker runs linux\/amd64/,
  });
  const many = await t.throwsAsync<ImageRefusal>(find(registries, index), {
    message: /linux\/arm64, windows\/amd64.*needs arch=arm64/,
  });
  t.deepEqual([one?.end, many?.end], [end, end]);
});

test('Nothing is asked of a registry, or below a name, that is not allowed', async (t) => {
  await using registry = await startTestRegistry();
  const reference = registry.put('team/tool', await makeImage());
  const refused = { instanceOf: ImageRefusal, code: 'forbidden' };
  const none = new Registries({ allowed: [] });
  await t.throwsAsync(find(none, reference), { ...refused, message: /none from any registry.*--registries/ });
  const others = registriesFor(registry, {
    allowed: allowedImagesList.parse(`${registry.address}/te, other.example/a`),
  });
  await t.throwsAsync(find(others, reference), {
    ...refused,
    message: /it may fetch those of 127\.0\.0\.1:\d+\/te, other\.example\/a/,
  });
  t.deepEqual(registry.seen, []);
  const below = registriesFor(registry, { allowed: allowedImagesList.parse(`${registry.address}/team`) });
  t.is((await find(below, reference)).layers.length, 1);
});

for (const scheme of ['basic', 'bearer'] as const)
  test(`A registry that asks for ${scheme === 'basic' ? 'a password' : 'a token'} gets the operator's credentials, once for many requests`, async (t) => {
    await using registry = await startTestRegistry({ auth: { scheme, ...WHO } });
    const image = await makeImage();
    const reference = registry.put('team/tool', image);
    const registries = registriesFor(registry, { credentials: credentialsFor(`${registry.host}/team`) });
    const { layers } = await find(registries, reference);
    t.is(await textOf(registries, reference, layers[0]?.digest ?? ''), partOf(image, 0));
    t.is(registry.seen.filter(({ authorization }) => authorization === undefined).length, 1);
    t.is(registry.seen.filter(({ path }) => path.startsWith('/token')).length, scheme === 'basic' ? 0 : 1);
  });

test('Without the right credentials an image is not permitted, and no error shows them', async (t) => {
  for (const scheme of ['basic', 'bearer'] as const) {
    await using registry = await startTestRegistry({
      auth: { scheme, username: 'robot', password: 'another' },
    });
    const reference = registry.put('team/tool', await makeImage());
    for (const place of [registry.host, 'elsewhere.example']) {
      const registries = registriesFor(registry, { credentials: credentialsFor(place) });
      const error = await t.throwsAsync<ImageRefusal>(find(registries, reference), {
        instanceOf: ImageRefusal,
      });
      t.is(error?.end, 'image_not_permitted');
      t.regex(error?.message ?? '', /--registry-credentials-file/);
      t.false(inspect(error, { depth: 9 }).includes(WHO.password));
    }
  }
});

test('Renewed credentials hold at once', async (t) => {
  await using registry = await startTestRegistry({ auth: { scheme: 'basic', ...WHO } });
  const reference = registry.put('tool', await makeImage());
  let credentials = credentialsFor('elsewhere.example');
  const registries = registriesFor(registry, { credentials: () => credentials() });
  await t.throwsAsync(find(registries, reference), { code: 'forbidden' });
  credentials = credentialsFor(registry.host);
  t.is((await find(registries, reference)).layers.length, 1);
});

test('Bytes lie elsewhere: they are fetched there without credentials, where the operator allows that place', async (t) => {
  await using elsewhere = await startTestRegistry();
  await using registry = await startTestRegistry({
    auth: { scheme: 'basic', ...WHO },
    blobsAt: () => elsewhere.address,
  });
  const image = await makeImage();
  const reference = registry.put('tool', image);
  elsewhere.put('tool', image);
  const options = { credentials: credentialsFor(registry.host) };
  const refused = registriesFor(registry, options);
  await t.throwsAsync(find(refused, reference), {
    code: 'unavailable',
    message: /address of a private network.*--registry-redirects/,
  });
  t.deepEqual(elsewhere.seen, []);
  const allowed = registriesFor(registry, { ...options, redirects: [elsewhere.host] });
  const [layer] = (await find(allowed, reference)).layers;
  t.is(await textOf(allowed, reference, layer?.digest ?? '', 1), partOf(image, 1));
  t.true(elsewhere.seen.every(({ authorization }) => authorization === undefined));
  t.is(elsewhere.seen.at(-1)?.range, 'bytes=1-');
});

test('A redirect to a private network by a name, in a circle, to another scheme or with a password is not followed', async (t) => {
  const cases: Readonly<Record<string, RegExp>> = {
    'http://localhost:1/': /localhost:1 has an address of a private network/,
    'http://[::ffff:127.0.0.1]:1/': /private network/,
    'http://169.254.169.254/latest': /private network/,
    'http://0177.1:1/': /private network/,
    'file:///etc/passwd': /does not go/,
    'http://name:password@127.0.0.1:1/': /does not go/,
    'gopher://x/': /does not go/,
    '': /does not go/,
  };
  for (const [location, message] of Object.entries(cases)) {
    const fault = () => ({ status: 307, headers: { location } });
    await using registry = await startTestRegistry({ fault });
    const reference = registry.put('tool', await makeImage());
    await t.throwsAsync(find(registriesFor(registry), reference), { code: 'unavailable', message }, location);
  }
  await using circle = await startTestRegistry({
    fault: ({ path }) => ({ status: 302, headers: { location: path } }),
  });
  const reference = circle.put('tool', await makeImage());
  await t.throwsAsync(find(registriesFor(circle), reference), { message: /too often/ });
  t.is(circle.seen.length, 6);
});

test('A token is asked for nowhere but at the registry, at public addresses, and where the operator allows it', async (t) => {
  await using elsewhere = await startTestRegistry({ auth: { scheme: 'bearer', ...WHO } });
  const challenge = { 'www-authenticate': `Bearer realm="${elsewhere.address}/token",service="x"` };
  const fault: RegistryRequest['fault'] = ({ authorization }) =>
    authorization === undefined ? { status: 401, headers: challenge } : undefined;
  await using registry = await startTestRegistry({ fault });
  const reference = registry.put('tool', await makeImage());
  const credentials = credentialsFor(registry.host);
  await t.throwsAsync(find(registriesFor(registry, { credentials }), reference), {
    code: 'unavailable',
    message: /private network/,
  });
  t.deepEqual(elsewhere.seen, []);
  const redirects = [elsewhere.host];
  t.is((await find(registriesFor(registry, { credentials, redirects }), reference)).layers.length, 1);
});

test('Bytes that do not have their digest are never used', async (t) => {
  const image = await makeImage();
  const others = await makeImage({ layers: [{ 'etc/evil': 'evil' }] });
  for (const [part, bytes] of [
    ['manifests', others.manifest.bytes],
    ['blobs', others.config.bytes],
  ] as const) {
    await using registry = await startTestRegistry({
      fault: ({ path }) => (path.includes(part) ? { bytes } : undefined),
    });
    const reference = registry.put('tool', image);
    const error = await t.throwsAsync<ImageRefusal>(find(registriesFor(registry), reference), {
      message: /gave (?:a manifest with the digest|other bytes)/,
    });
    t.is(error?.end, 'image_invalid');
  }
});

test('What is too large, too long or no image of ours is refused with what is wrong', async (t) => {
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1,
  };
  const cases = [
    [packImage([Buffer.alloc(2000, 1)], { form: 'tar' }), /layers of 2000 bytes, and 1000 is the most/],
    [
      packImage([], { odd: { manifest: { layers: Array.from({ length: 126 }, () => layer) } } }),
      /has 126 layers, and 125/,
    ],
    [packImage([], { odd: { config: { filler: 'x'.repeat(5_000_000) } } }), /configuration of 500\d+ bytes/],
    [packImage([], { odd: { manifest: { filler: 'x'.repeat(5_000_000) } } }), /more than 4 MiB/],
    [packImage([], { odd: { manifest: { layers: [layer] } } }), /has 1 layers, and names 0/],
    [packImage([], { odd: { manifest: { manifests: [] } } }), /index and an image at once/],
    [packImage([], { odd: { manifest: { fsLayers: [] } } }), /schema 1/],
    [
      packImage([], { odd: { manifest: { config: { ...layer, size: -1 } } } }),
      /not understood \(config\.size/,
    ],
    [
      packImage([Buffer.alloc(1)], {
        odd: { manifest: { layers: [{ ...layer, mediaType: 'text/plain' }] } },
      }),
      /type text\/plain/,
    ],
    [
      packImage([], { odd: { config: { rootfs: { type: 'other', diff_ids: [] } } } }),
      /not understood \(rootfs\.type/,
    ],
    [packImage([], { odd: { config: { os: 'windows' } } }), /is for windows\/amd64/],
  ] as const;
  await using registry = await startTestRegistry();
  const registries = registriesFor(registry);
  for (const [image, message] of cases)
    await t.throwsAsync(
      find(registries, registry.put('tool', image)),
      { instanceOf: ImageRefusal, message },
      String(message),
    );
});

test('An image that is not there differs from a registry that cannot tell', async (t) => {
  let status = 503;
  await using registry = await startTestRegistry({ fault: () => (status === 404 ? undefined : { status }) });
  const reference = parseImageReference(`${registry.host}/tool@sha256:${'0'.repeat(64)}`) as PinnedReference;
  const registries = registriesFor(registry);
  await t.throwsAsync(find(registries, reference), { code: 'unavailable', message: /status 503/ });
  status = 429;
  await t.throwsAsync(find(registries, reference), { code: 'rate_limited' });
  status = 404;
  await t.throwsAsync(find(registries, reference), {
    code: 'not_found',
    message: /the image tool@sha256:0+ is not in the registry/,
  });
  await registry[Symbol.asyncDispose]();
  await t.throwsAsync(find(registries, reference), {
    code: 'unavailable',
    message: /does not answer \(ECONNREFUSED\)/,
  });
});

test('A registry with a certificate of its own is asked where its authority is trusted', async (t) => {
  await using authority = await createAuthority();
  await using registry = await startTestRegistry({
    tls: await authority.certify('registry', 'IP:127.0.0.1'),
  });
  const reference = registry.put('tool', await makeImage());
  await t.throwsAsync(find(registriesFor(registry), reference), {
    code: 'unavailable',
    message: /certificate that is not accepted.*--registry-ca/,
  });
  const registries = registriesFor(registry, { authority: () => authority.ca });
  t.is((await find(registries, reference)).layers.length, 1);
});

test('An abort ends a request that nobody answers', async (t) => {
  await using registry = await startTestRegistry({ fault: () => 'silence' });
  const reference = registry.put('tool', await makeImage());
  const stop = new AbortController();
  const asked = findImage(registriesFor(registry), reference, wanted, stop.signal);
  stop.abort(new Error('cancelled'));
  await t.throwsAsync(asked, { message: 'cancelled' });
});
