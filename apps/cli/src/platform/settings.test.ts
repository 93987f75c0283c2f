import { chmod, writeFile } from 'node:fs/promises';
import test from 'ava';
import { CliError } from '../exit-codes.ts';
import { type TemporaryFolder, temporaryFolder } from '../testing/temporary-folder.ts';
import { dataFolder, findPlatform } from './settings.ts';

const written = {
  storage: 'http://127.0.0.1:8082',
  compute: 'http://127.0.0.1:8081',
  credentials: { name: 'admin', secret: 'secret' },
};

async function home(content: unknown = written): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await writeFile(folder.file('connection.json'), text, { mode: 0o600 });
  return folder;
}

test('The services are found in the data folder', async (t) => {
  await using folder = await home();
  const address = await findPlatform({}, { MORPHEO_HOME: folder.path });
  t.deepEqual(address('compute'), { url: written.compute, credentials: written.credentials });
});

test('A flag wins over the environment and that over the file', async (t) => {
  await using folder = await home();
  const env = { MORPHEO_HOME: '/nowhere', MORPHEO_STORAGE_URL: 'http://s', MORPHEO_COMPUTE_URL: 'http://c' };
  const address = await findPlatform({ home: folder.path, storage: 'http://flag' }, env);
  t.is(address('storage').url, 'http://flag');
  t.is(address('compute').url, 'http://c');
});

test('Credentials of the file go to its own addresses alone', async (t) => {
  await using folder = await home();
  const address = await findPlatform({ storage: 'http://elsewhere' }, { MORPHEO_HOME: folder.path });
  t.is(address('storage').credentials, undefined);
  t.deepEqual(address('compute').credentials, written.credentials);
});

test('Credentials of the environment go to every address', async (t) => {
  await using folder = await home();
  const env = { MORPHEO_HOME: folder.path, MORPHEO_USER: 'me', MORPHEO_PASSWORD: 'mine' };
  const address = await findPlatform({ storage: 'http://elsewhere' }, env);
  t.deepEqual(address('storage').credentials, { name: 'me', secret: 'mine' });
  t.deepEqual(address('compute').credentials, { name: 'me', secret: 'mine' });
});

test('A connection file that others may read is refused', async (t) => {
  await using folder = await home();
  await chmod(folder.file('connection.json'), 0o640);
  await t.throwsAsync(findPlatform({ home: folder.path }, {}), {
    name: 'CliError',
    message: /may read it \(mode 640\)/,
  });
});

test('A malformed connection file is named with what is wrong', async (t) => {
  await using broken = await home('{');
  await using odd = await home({ ...written, compute: 'ftp://127.0.0.1' });
  await t.throwsAsync(findPlatform({ home: broken.path }, {}), { message: /is malformed \(not JSON\)/ });
  await t.throwsAsync(findPlatform({ home: odd.path }, {}), { message: /is malformed \(compute: / });
});

test('Where nothing is found the error says what to do', async (t) => {
  const address = await findPlatform({ home: '/nowhere' }, {});
  const error = t.throws(() => address('compute'), { instanceOf: CliError });
  t.is(error.exitCode, 3);
  t.regex(error.hint ?? '', /"morpheo up", or set MORPHEO_COMPUTE_URL/);
});

test('A user without a password is refused', async (t) => {
  await t.throwsAsync(findPlatform({ user: 'me' }, {}), { message: /no password for the user "me"/ });
});

test('An address that is none is named by where it came from', async (t) => {
  await t.throwsAsync(findPlatform({ storage: 'storage:80' }, {}), { message: /^--storage is not/ });
  await t.throwsAsync(findPlatform({}, { MORPHEO_COMPUTE_URL: 'x' }), {
    message: /^MORPHEO_COMPUTE_URL is not/,
  });
});

test('The data folder is .morpheo in the home folder', (t) => {
  t.is(dataFolder({}, { HOME: '/home/me' }), '/home/me/.morpheo');
  t.is(dataFolder({}, { HOME: '/home/me', MORPHEO_HOME: '/data' }), '/data');
  t.is(dataFolder({ home: './here' }, { MORPHEO_HOME: '/data' }), './here');
});
