import { once } from 'node:events';
import { rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { readiness } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { probesOf } from './check.ts';
import { loadConfig } from './config/config.ts';
import { start } from './start.ts';

/** Nobody listens at this port. */
const NOWHERE = 'http://127.0.0.1:9';

test('A worker whose services are away lives and is not ready', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE, '--port', '0'];
  await using service = await start([...places, '--runtime', 'process', '--log-level', 'error'], {});
  const url = String(service?.ready?.url);
  t.is((await fetch(`${url}/health`)).status, 200);
  const answer = await fetch(`${url}/ready`);
  t.is(answer.status, 503);
  const { dependencies } = readiness.parse(await answer.json());
  const ok = Object.fromEntries(dependencies.map((dependency) => [dependency.name, dependency.ok]));
  t.deepEqual(ok, { 'data folder': true, 'compute-api': false, 'storage-api': false, runtime: true });
  await service?.drain();
});

test('A worker that has lost a folder of its own is not ready, and --check names it', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE, '--port', '0'];
  const argv = [...places, '--runtime', 'process', '--log-level', 'error'];
  await using service = await start(argv, {});
  const loaded = loadConfig(argv, {});
  if (loaded.kind !== 'settings') return t.fail('these are settings');
  const probe = new Map(Object.entries(probesOf(loaded.values))).get('data folder');
  for (const name of ['work', 'cache']) {
    const path = join(folder.path, name);
    await rename(path, `${path}.aside`);
    await writeFile(path, '');
    const { dependencies } = readiness.parse(await (await fetch(`${service?.ready?.url}/ready`)).json());
    const part = dependencies.find((one) => one.name === 'data folder');
    t.deepEqual(part, { name: 'data folder', ok: false, problem: `${path} is no folder.` });
    await t.throwsAsync(async () => await probe?.ask(AbortSignal.timeout(60_000)), { code: 'unavailable' });
    await rm(path);
    await rename(`${path}.aside`, path);
  }
  await service?.drain();
});

test('--check names the sheep of a worker, or what is wrong with their configuration', async (t) => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'shepherd.yml');
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE];
  const asked = async (sheep: string) => {
    await writeFile(file, `data_root: /data\nsheep:\n  one: ${sheep}\n`);
    const loaded = loadConfig([...places, '--runtime', 'process', '--shepherd-config', file], {});
    if (loaded.kind !== 'settings') throw new Error('these are settings');
    const probe = new Map(Object.entries(probesOf(loaded.values, { HERE: folder.path }))).get('sheep');
    return await probe?.ask(AbortSignal.timeout(60_000));
  };
  t.is(await asked('{ type: bare, port: 1, working_directory: $HERE }'), 'one (bare)');
  const lost = asked('{ type: bare, port: 1, working_directory: $HERE/lost }');
  await t.throwsAsync(lost, { code: 'unavailable', message: /the sheep one is not there: .*lost/ });
  await t.throwsAsync(asked('{ type: goat }'), { code: 'invalid_request', message: /line 3/ });
});

test('A worker refuses to start beside a compute-api or storage-api of the originals before it hears the broker, and says what to start', async (t) => {
  await using folder = await temporaryFolder();
  const nsqd = createTcpServer(() => t.fail('it would take messages from a worker of the original'));
  await once(nsqd.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => nsqd.close());
  const broker = ['--nsqd', `127.0.0.1:${(nsqd.address() as AddressInfo).port}`];
  const original = createServer((_, response) => response.writeHead(404).end('{"error":"not found"}'));
  await once(original.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => original.close());
  const { port } = original.address() as AddressInfo;
  const theirs = `http://127.0.0.1:${port}`;
  for (const [compute, storage] of [
    [theirs, NOWHERE],
    [NOWHERE, theirs],
  ] as const) {
    const places = ['--data-dir', folder.path, '--compute', compute, '--storage', storage, ...broker];
    await t.throwsAsync(start([...places, '--runtime', 'process', '--log-level', 'error'], {}), {
      code: 'conflict',
      message:
        /answers something that is no service of Morpheo Compute, and not the Morpheo (compute|storage) API\. Beside .*, start the worker of the original\. .*start those, or correct --(compute|storage)\.$/,
    });
  }
});

test('--check of a worker is not content with any server that answers', async (t) => {
  const original = createServer((_, response) => response.writeHead(404).end('{"error":"not found"}'));
  await once(original.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => original.close());
  const theirs = `http://127.0.0.1:${(original.address() as AddressInfo).port}`;
  const argv = `--data-dir x --compute ${theirs} --storage ${theirs} --runtime process`;
  const loaded = loadConfig(argv.split(' '), {});
  if (loaded.kind !== 'settings') return t.fail('these are settings');
  const probes = new Map(Object.entries(probesOf(loaded.values)));
  for (const name of ['compute-api', 'storage-api'])
    await t.throwsAsync(async () => await probes.get(name)?.ask(AbortSignal.timeout(30_000)), {
      message: /answers something that is no service of Morpheo Compute/,
    });
});

test('A worker without settings does not start', async (t) => {
  await t.throwsAsync(start([], {}), { code: 'invalid_request' });
});

test('A worker whose Docker is away lives, says why it is not ready, and stops', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE, '--port', '0'];
  const docker = ['--runtime', 'docker', '--docker-host', `unix://${folder.path}/no.sock`, '--gpus', 'none'];
  await using service = await start([...places, ...docker, '--log-level', 'error'], {});
  const answer = await fetch(`${service?.ready?.url}/ready`);
  const { dependencies } = readiness.parse(await answer.json());
  const runtime = dependencies.find(({ name }) => name === 'runtime');
  t.like(runtime, { ok: false });
  t.regex(JSON.stringify(runtime), /no\.sock does not answer \(ENOENT\).*--docker-host/);
  await service?.drain();
});

test('A worker whose certificates are not there refuses to start', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE];
  const env = { DOCKER_HOST: 'tcp://127.0.0.1:9', DOCKER_CERT_PATH: '/no/such/folder' };
  await t.throwsAsync(start([...places, '--runtime', 'docker', '--log-level', 'error'], env), {
    code: 'invalid_request',
    message: /ca\.pem/,
  });
});
