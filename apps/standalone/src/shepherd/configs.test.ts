import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  freePorts,
  mainOf,
  openSharedDind,
  openSharedMinio,
  requireProgram,
  ServiceProcess,
  withParts,
} from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';

const test = withParts(ava, 'docker', 'minio', 'pyzmq');
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const IDLE = { running: false, model: { name: null, version: null }, request: null };

/** What the log says on a machine without a GPU, or without what finds one. */
const NO_GPU = /"missing":\["0"\].*GPUs .* are not there|GPUs cannot be found: the worker has none/;

/** The sheep of each configuration of the examples. */
const CONFIGS = {
  'docker-cpu': ['cpu_sheep_1', 'cpu_sheep_2'],
  'docker-gpu': ['gpu_sheep_1'],
  bare: ['bare_sheep'],
} as const;

for (const [name, sheep] of Object.entries(CONFIGS)) {
  test(`The configuration ${name} of the examples is read as it is, and its sheep are there`, async (t) => {
    await using shepherd = await startOn(name);
    const status = await (await fetch(`${shepherd.url}/status`)).json();
    t.deepEqual(status, {
      sheep: Object.fromEntries(sheep.map((id) => [id, IDLE])),
      containers: Object.fromEntries(sheep.map((id) => [id, IDLE])),
    });
    if (name === 'docker-gpu') await eventually(t, (t) => t.regex(shepherd.printed(), NO_GPU));
    if (name === 'bare') t.is(await resultOf(shepherd.url), '{"result": "42"}');
    t.is(await shepherd.stop(), 0);
  });
}

/** The result of a job for the model of the examples. */
async function resultOf(url: string): Promise<string> {
  const job = randomUUID();
  const model = { name: 'echo', version: '1.0' };
  await fetch(`${url}/start-job`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ job_id: job, model, payload: '{"input": "42"}' }),
  });
  await fetch(`${url}/jobs/${job}/wait_ready`);
  return await (await fetch(`${url}/jobs/${job}/result`)).text();
}

/** `shepherd -h … -p … -c …` with a configuration of the examples, whose ports and folders are those of the test. */
async function startOn(name: string) {
  await using stack = new AsyncDisposableStack();
  const dind = stack.use(await openSharedDind());
  const minio = stack.use(await openSharedMinio());
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-shepherd-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const [port = 0] = await freePorts(1);
  const config = join(folder, 'shepherd.yml');
  const text = await readFile(join(ROOT, `examples/shepherd/configs/shepherd-${name}.yml`), 'utf8');
  await writeFile(
    config,
    text
      .replace('/tmp/shepherd-data', join(folder, 'data'))
      .replace('http://127.0.0.1:7000', minio.endpoint)
      .replace('access_key: shepherd', `access_key: ${minio.credentials.accessKeyId}`)
      .replace('known-to-everybody', minio.credentials.secretAccessKey)
      .replace('program: python3', `program: ${requireProgram('python3-zmq')}`)
      .replace('9001', String(await freePort()))
      .replaceAll(/\/tmp\/(?=bare)/g, `${folder}/`),
  );
  const url = `http://127.0.0.1:${port}`;
  const process = stack.use(
    new ServiceProcess({
      main: mainOf('shepherd'),
      args: ['-h', '127.0.0.1', '-p', String(port), '-c', config],
      env: { PATH: globalThis.process.env.PATH, DOCKER_HOST: `unix://${dind.socketPath}` },
      cwd: ROOT,
      ready: `${url}/health`,
    }),
  );
  await process.start();
  const opened = stack.move();
  return {
    url,
    printed: () => process.printed,
    stop: async () => await process.kill('SIGTERM'),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
