import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import { createAuthority } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import { credentialEntries, makeTicketKeyFile, readOrMakeSecrets, type Secrets } from '@morpheo/standalone';
import { runScenario } from '@morpheo/standalone/scenarios';
import test from 'ava';
import { runToEnd, startProgram } from '../testing/program.ts';
import { PROGRAMS, ROOT } from './programs.ts';

const run = promisify(execFile);

test.before('The executables are made', async (t) => {
  t.timeout(180_000);
  await run('make', ['all-bin'], { cwd: ROOT });
});

// Before the others: it makes a program that they start.
test.serial('What is made is not made again, unless a source of it changes', async (t) => {
  t.timeout(300_000);
  await eventually(t, async (t) => {
    // Somebody may be writing at the sources while this runs.
    await run('make', ['all-bin'], { cwd: ROOT });
    t.deepEqual(await outdated(), []);
    t.deepEqual(await outdated('--what-if=apps/compute-api/src/orders/submit.ts'), [
      'compute-api',
      'shepherd',
    ]);
  });
});

for (const name of Object.keys(PROGRAMS)) {
  test(`${name} shows its help and its version`, async (t) => {
    const help = await runToEnd(name, ['--help']);
    t.regex(help.stdout, new RegExp(`^Usage: ${name} `));
    t.regex((await runToEnd(name, ['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  });
}

test('A service refuses to start with a setting that it does not know', async (t) => {
  const refused = await t.throwsAsync(runToEnd('compute-api', ['--colour', 'red']));
  t.like(refused, { code: 2 });
  t.regex(String(refused), /--colour: there is no such flag/);
});

test('A training goes through three executables, and each shows its pages and stops when told', async (t) => {
  t.timeout(300_000);
  await using place = await openPlace();
  const { folder, secrets, credentials, ticketKeys } = place;
  const common = ['--port', '0', '--credentials', credentials, '--ticket-key-file', ticketKeys];
  await using storage = await startProgram('storage-api', [...common, '--data-dir', join(folder, 'storage')]);
  const toStorage = (name: 'worker' | 'compute-api') => [
    ...['--storage', storage.url, '--storage-user', name, '--storage-password', secrets[name]],
  ];
  await using compute = await startProgram('compute-api', [
    ...[...common, '--data-dir', folder, '--broker', 'mock'],
    ...toStorage('compute-api'),
  ]);
  await using worker = await startProgram('compute-worker', [
    ...['--port', '0', '--data-dir', join(folder, 'worker'), '--runtime', 'process', '--poll', '100ms'],
    ...['--compute', compute.url, '--compute-user', 'worker', '--compute-password', secrets.worker],
    ...toStorage('worker'),
  ]);

  const admin = { name: 'admin', secret: secrets.admin };
  const apis = {
    storage: storageClient({ url: storage.url, credentials: admin }),
    compute: computeClient({ url: compute.url, credentials: admin }),
  };
  const orders = await runScenario(
    {
      title: '',
      problem: 'problem-parity',
      steps: [
        { learn: 'first', algo: 'algo-parity' },
        { predict: 'then', with: 'first' },
      ],
      expect: {},
    },
    apis,
  );
  t.like(orders.get('first'), { status: 'done', result: { performance: { perf: 1 } } });
  t.is(orders.get('then')?.status, 'done', JSON.stringify(orders.get('then')?.failure));

  for (const { url } of [storage, compute, worker]) {
    t.is(await (await fetch(`${url}/health`)).text(), '{"status":"ok"}');
    const page = fileURLToPath(import.meta.resolve('swagger-ui-dist/swagger-ui-bundle.js'));
    t.deepEqual(await bytesOf(`${url}/docs/swagger-ui-bundle.js`), await readFile(page));
    t.is((await fetch(`${url}/docs`)).status, 200);
  }
  for (const program of [worker, compute, storage]) t.is(await program.stop(), 0);
});

test('The executable of dicebox has the page to draw on inside', async (t) => {
  await using place = await openPlace();
  const away = 'http://127.0.0.1:9';
  await using dicebox = await startProgram('dicebox', [
    ...['--port', '0', '--serve', 'classification', '--data-dir', place.folder],
    ...['--compute', away, '--storage', away, '--api-key', 'a key of this test alone'],
  ]);
  for (const [path, file] of [
    ['/', 'index.html'],
    ['/page/main.js', 'main.js'],
    ['/page/drawing.js', 'drawing.js'],
    ['/page/service.js', 'service.js'],
    ['/page/page.css', 'page.css'],
  ]) {
    const answer = await fetch(`${dicebox.url}${path}`);
    t.is(answer.status, 200);
    const source = await readFile(join(ROOT, 'apps/dicebox/src/classification/page', file ?? ''), 'utf8');
    // What the service knows stands where the document has a name in braces.
    const known: Readonly<Record<string, string>> = {
      version: '0.3.0',
      name: 'dicebox',
      width: '28',
      height: '28',
    };
    const whole = source.replaceAll(/\{\{(\w+)\}\}/g, (_all, name: string) => known[name] ?? '');
    t.is(await answer.text(), whole, path);
  }
});

test('dicebox reads a picture with the native code that lies beside its executable', async (t) => {
  await using place = await openPlace();
  const key = '6e249b5f-b483-4e0d-b50b-81d95e3d9a59';
  await using dicebox = await startProgram('dicebox', [
    ...['--port', '0', '--data-dir', place.folder, '--serve', 'sensory', '--api-key', key],
    ...['--compute', 'http://127.0.0.1:9', '--storage', 'http://127.0.0.1:9'],
  ]);
  const ask = async (path: string, body?: object) =>
    await fetch(`${dicebox.url}${path}`, {
      headers: { 'API-ACCESS-KEY': key, 'API-VERSION': '0.3.0', 'content-type': 'application/json' },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
  const picture = { name: 'dicebox', width: 2, height: 2, category: '1d6_1', data: RED };
  const stored = await ask('/api/sensory/store', picture);
  t.deepEqual([stored.status, await stored.json()], [200, { sensory_store: true }]);
  t.deepEqual(await (await ask('/api/sensory/category')).json(), { category_map: { '1d6_1': 0 } });
  t.is(await dicebox.stop(), 0);
});

test('With a certificate a service speaks HTTPS, and its own probe trusts it', async (t) => {
  await using place = await openPlace();
  await using authority = await createAuthority();
  const { certFile, keyFile } = await authority.certify('storage', 'DNS:storage.example');
  const flags = ['-cert', certFile, '-key', keyFile, '-credentials', place.credentials];
  await using storage = await startProgram('storage-api', [
    ...['-port', '0', '-data-dir', place.folder],
    ...flags,
  ]);
  const { port, protocol } = new URL(storage.url);
  t.is(protocol, 'https:');
  const probe = await runToEnd('storage-api', ['--health', '-port', port, ...flags]);
  t.regex(probe.stdout, /^well: 127\.0\.0\.1:/);
  await t.throwsAsync(
    fetch(`${storage.url}/health`),
    undefined,
    'nobody else trusts the authority of a test',
  );
});

test('The probe of a service that is away says so and fails', async (t) => {
  const env = { MORPHEO_STORAGE_PORT: '9', MORPHEO_STORAGE_INSECURE_OPEN: 'true' };
  const failed = await t.throwsAsync(runToEnd('storage-api', ['--health'], env));
  t.regex(String(failed), /unwell: .*ECONNREFUSED/);
});

/** A PNG of four red dots, in Base64. */
const RED =
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAMAAABFaP0WAAAAA1BMVEX/AAAZ4gk3AAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAC0lEQVQImWNgAAEAAAYAAeaH/n8AAAAASUVORK5CYII=';

/** The programs that make would make now. */
async function outdated(...args: string[]): Promise<string[]> {
  const { stdout } = await run('make', ['--dry-run', ...args, 'all-bin'], { cwd: ROOT });
  return [...stdout.matchAll(/executables\/main\.ts (.*)/g)].map(([, name = '']) => name);
}

/** A folder with the secrets of a platform's callers, which goes with the test. */
async function openPlace(): Promise<
  AsyncDisposable & { folder: string; secrets: Secrets; credentials: string; ticketKeys: string }
> {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-executables-'));
  const secrets = await readOrMakeSecrets(folder);
  const credentials = join(folder, 'credentials.json');
  await writeFile(credentials, JSON.stringify(await credentialEntries(secrets)));
  return {
    folder,
    secrets,
    credentials,
    ticketKeys: await makeTicketKeyFile(folder),
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }),
  };
}

async function bytesOf(url: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(url)).arrayBuffer());
}
