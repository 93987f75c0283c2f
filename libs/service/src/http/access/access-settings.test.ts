import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { defineSettings, loadSettings } from '../../config/index.ts';
import { silentLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import { accessSettings, hashSecret, openAccess, readTls } from '../index.ts';

const settings = defineSettings(accessSettings('DEMO_', ' On loopback alone.'));
const ours = async () => ({
  name: 'ours',
  roles: ['admin'] as const,
  secretHash: await hashSecret('secret', { isRandom: true }),
});
const basic = (name: string) => `Basic ${btoa(`${name}:secret`)}`;

/** A folder with a credentials file of these entries. */
async function folderOf(entries: readonly unknown[]) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'access-'));
  const file = join(folder.path, 'credentials.json');
  await writeFile(file, JSON.stringify(entries));
  const config = { host: '0.0.0.0', credentials: file, insecureOpen: false };
  return { file, config, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test('Who may call is read from the file, and others are added', async (t) => {
  await using folder = await folderOf([{ ...(await ours()), name: 'theirs', roles: ['reader'] }]);
  await using both = await openAccess(folder.config, { log: silentLog, others: [await ours()] });
  t.is((await both.callers?.authenticate(basic('theirs')))?.name, 'theirs');
  t.is((await both.callers?.authenticate(basic('ours')))?.name, 'ours');
  t.deepEqual(both.callers?.rolesOf('theirs', 'file'), ['reader']);
  await using alone = await openAccess(folder.config, { log: silentLog });
  t.is(await alone.callers?.authenticate(basic('ours')), null);
});

test('A file without callers lets nobody in', async (t) => {
  await using folder = await folderOf([]);
  await using access = await openAccess(folder.config, { log: silentLog });
  t.is(await access.callers?.authenticate(basic('ours')), null);
});

test('Whoever is taken out of the file is let in no more, and others hold on', async (t) => {
  const [theirs, third] = [
    { ...(await ours()), name: 'theirs' },
    { ...(await ours()), name: 'third' },
  ];
  await using folder = await folderOf([theirs]);
  const how = { log: silentLog, others: [await ours()], everyMs: 1 };
  await using access = await openAccess(folder.config, how);
  const nameOf = async (name: string) => (await access.callers?.authenticate(basic(name)))?.name;
  t.is(await nameOf('theirs'), 'theirs');
  t.is(await nameOf('third'), undefined);
  await writeFile(folder.file, JSON.stringify([third]));
  await eventually(t, async (t) => t.is(await nameOf('third'), 'third'));
  t.is(await nameOf('theirs'), undefined, 'though the secret was right before');
  t.is(await nameOf('ours'), 'ours');
});

test('Others may be replaced, and those of the file hold on', async (t) => {
  await using folder = await folderOf([{ ...(await ours()), name: 'theirs' }]);
  await using access = await openAccess(folder.config, { log: silentLog, others: [await ours()] });
  access.replaceOthers([{ ...(await ours()), name: 'next' }]);
  const nameOf = async (name: string) => (await access.callers?.authenticate(basic(name)))?.name;
  t.is(await nameOf('next'), 'next');
  t.is(await nameOf('theirs'), 'theirs');
  t.is(await nameOf('ours'), undefined);
});

test('The network is served without credentials only in plain words', async (t) => {
  const open = { host: '0.0.0.0', credentials: undefined, insecureOpen: false };
  const how = { log: silentLog };
  await t.throwsAsync(openAccess(open, how), { message: /allow it in plain words with --insecure-open/ });
  for (const config of [
    { ...open, insecureOpen: true },
    { ...open, host: '127.0.0.1' },
  ]) {
    await using access = await openAccess(config, how);
    t.is(access.callers, null);
  }
});

test('A certificate is read with its key', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'access-'));
  const [cert, key] = [join(folder.path, 'cert.pem'), join(folder.path, 'key.pem')];
  await writeFile(cert, 'the certificate');
  await writeFile(key, 'the key');
  const texts = { cert: 'the certificate', key: 'the key' };
  t.deepEqual(await readTls({ cert, key }), { ...texts, files: { cert, key } });
  t.is(await readTls({ cert: undefined, key: undefined }), undefined);
});

test('The note ends the help of the open door', (t) => {
  const loaded = loadSettings({
    name: 'demo',
    description: '',
    version: '1',
    settings,
    argv: ['--help'],
    env: {},
  });
  t.regex(
    loaded.kind === 'help' ? loaded.text.replaceAll(/\s+/g, ' ') : '',
    /everything\. On loopback alone\./,
  );
});
