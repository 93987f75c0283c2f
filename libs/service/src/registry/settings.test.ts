import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPlatformError } from '@morpheo/common';
import { createAuthority } from '@morpheo/real-parts';
import test from 'ava';
import { loadSettings, settingsOrPrint } from '../config/index.ts';
import { watchSecrets } from '../lifecycle/index.ts';
import { memoryLog } from '../log/index.ts';
import { eventually } from '../testing/index.ts';
import { findImage, openRegistries, registrySettings } from './index.ts';
import { makeImage, startTestRegistry } from './testing/index.ts';

const WHO = { username: 'robot', password: 'of-the-test-only' } as const;

function load(...argv: string[]) {
  const settings = registrySettings('TEST_');
  const loaded = loadSettings({ name: 'test', description: '', version: '1', settings, argv, env: {} });
  const values = settingsOrPrint(loaded);
  if (values === undefined) throw new Error('No settings were read.');
  return values;
}

test('What the settings say is fetched, by credentials that follow their file', async (t) => {
  await using stack = new AsyncDisposableStack();
  await using folder = await mkdtempDisposable(join(tmpdir(), 'registries-'));
  await using authority = await createAuthority();
  const tls = await authority.certify('registry', 'IP:127.0.0.1');
  await using registry = await startTestRegistry({ tls, auth: { scheme: 'basic', ...WHO } });
  const reference = registry.put('team/tool', await makeImage());
  const file = join(folder.path, 'registries.json');
  const write = async (password: string) => {
    const auth = Buffer.from(`${WHO.username}:${password}`).toString('base64');
    await writeFile(`${file}.new`, JSON.stringify({ auths: { [registry.host]: { auth } } }));
    await rename(`${file}.new`, file);
  };
  await write('an-old-one');
  const flags = ['--registries', registry.host, '--registry-ca', authority.caFile];
  const config = load(...flags, '--registry-credentials-file', file);
  const log = memoryLog();
  stack.use(await watchSecrets(config, { log, everyMs: 20 }));
  const registries = await openRegistries(config, { log, stack });
  const wanted = { architecture: 'amd64', bounds: { bytes: 10_000 } } as const;
  const find = async () => await findImage(registries, reference, wanted, new AbortController().signal);
  await t.throwsAsync(find(), { code: 'forbidden' });
  await write(WHO.password);
  await eventually(t, async (inner) => inner.is((await find()).layers.length, 1));
  t.false(JSON.stringify([config, log.entries]).includes(WHO.password));
});

test('Settings that are no good are told, without what a secret holds', (t) => {
  const cases = [
    ['--registries', 'https://me:planted@a.example', /registries such as/],
    ['--registry-credentials', '{"auths":{"a.example":{"auth":"planted"}}}', /as docker login/],
    ['--registry-redirects', 'http://a.example', /hosts such as/],
  ] as const;
  for (const [flag, value, message] of cases) {
    const error = t.throws(() => load(flag, value), { message });
    t.true(isPlatformError(error, 'invalid_request'));
    t.false(error?.message.includes('planted'), error?.message);
  }
});
