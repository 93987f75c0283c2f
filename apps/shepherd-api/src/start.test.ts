import { mkdtempDisposable, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import { minioTest, sharedMinio } from '@morpheo/service/buckets/testing';
import { Secret } from '@morpheo/service/config';

import test from 'ava';
import type { ShepherdConfig } from './config.ts';
import { readFileOf, start } from './start.ts';
import { openS3Store } from './store/s3.ts';
import { newJob, openShepherd } from './testing/open-shepherd.ts';

const minio = sharedMinio();
const PEERS = ['--compute', 'http://127.0.0.1:9', '--storage', 'http://127.0.0.1:9', '--log-level', 'error'];

async function writeConfig(folder: string, storage: string): Promise<string> {
  const file = join(folder, 'shepherd.yml');
  const text = `data_root: ${folder}/data
${storage}registry:
  url: http://127.0.0.1:9
sheep:
  cpu_sheep_1:
    type: docker
    port: 9001
`;
  await writeFile(file, text);
  return file;
}

minioTest('It starts by the configuration of the original, and lets nobody else read its key', async (t) => {
  const { endpoint, credentials } = await minio();
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-'));
  const keys = `  access_key: ${credentials.accessKeyId}\n  secret_key: $SECRET\n`;
  const file = await writeConfig(folder.path, `storage:\n  url: ${endpoint}\n${keys}`);
  const env = { SECRET: credentials.secretAccessKey };
  await using service = await start(['--port', '0', '--config', file, ...PEERS], env);
  const url = String(service?.ready?.url);
  const { sheep } = (await (await fetch(`${url}/status`)).json()) as { sheep: object };
  t.deepEqual(Object.keys(sheep), ['cpu_sheep_1']);
  const ready = (await (await fetch(`${url}/ready`)).json()) as { dependencies: object[] };
  t.like(ready.dependencies[0], { name: 'buckets', ok: true });
  t.like(ready.dependencies[1], { name: 'compute', ok: false });
  const key = await stat(join(folder.path, 'data/shepherd-api/callback.key'));
  t.is(key.mode & 0o777, 0o600);
});

test('Without a configuration, buckets are folders', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-'));
  await using service = await start(['--port', '0', '--data-dir', folder.path, ...PEERS], {});
  const url = String(service?.ready?.url);
  t.is((await fetch(`${url}/health`)).status, 200);
  t.deepEqual(await (await fetch(`${url}/status`)).json(), { sheep: {}, containers: {} });
  t.true((await stat(join(folder.path, 'buckets'))).isDirectory());
});

test('A configuration that cannot be followed is told with its line', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-'));
  const file = await writeConfig(folder.path, 'storage: 7\n');
  await t.throwsAsync(start(['--port', '0', '--config', file, ...PEERS], {}), {
    message: /line 2: storage: /,
  });
  await t.throwsAsync(start(['--port', '0', ...PEERS], {}), { message: /give --config, or --data-dir/ });
});

test('The level of the log is that of the configuration, but for one that a flag asks for', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-'));
  const file = await writeConfig(folder.path, 'logging: {level: warning}\n');
  const levelOf = async (logLevel: ShepherdConfig['logLevel']) =>
    (await readFileOf({ config: file, logLevel }, {})).config.logLevel;
  t.is(await levelOf('info'), 'warn');
  t.is(await levelOf('debug'), 'debug');
});

minioTest('The buckets of jobs are those of S3, whoever fills and reads them', async (t) => {
  const { endpoint, credentials } = await minio();
  const keys = {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: new Secret(credentials.secretAccessKey),
  };
  await using store = openS3Store({ endpoint, credentials: keys });
  await using shepherd = await openShepherd({ store });
  const { platform, ask } = shepherd;
  const [given, filled] = [newJob(), newJob({ payload: undefined })];
  await store.create(filled.job_id);
  await store.put(filled.job_id, 'inputs/input.json', Buffer.from('{"ä":1}'));
  for (const body of [given, filled]) {
    t.is((await shepherd.start(body)).status, 200);
    t.like(JSON.parse((await shepherd.file(body.job_id, 'job_status.json')) ?? ''), { status: 'queued' });
    await platform.work(body.job_id, { files: { output: '{"é":2}', 'pages/1': 'one' } });
    t.is(await (await ask(body.job_id, 'result')).text(), '{"é":2}');
    t.is((await ask(body.job_id, 'result/other')).status, 404);
  }
  const names = async (id: string) => (await Array.fromAsync(store.list(id, ''))).map(({ name }) => name);
  const outputs = ['job_status.json', 'outputs/output', 'outputs/pages/1'];
  t.deepEqual(await names(given.job_id), ['inputs/input', ...outputs]);
  t.deepEqual(await names(filled.job_id), [
    ...['inputs/input.json', 'job_status.json', 'outputs.json', 'outputs/output', 'outputs/pages/1'],
  ]);
  t.is((await shepherd.start(given)).status, 409);
});
