import { execFile } from 'node:child_process';
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sampleSize, startDind, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { ROOT } from '../executables/programs.ts';

const run = promisify(execFile);
const test = withParts(ava, 'docker');

/** Of the three, the one with TensorFlow inside takes a minute of work to bring in: `make soak` does. */
const isWhole = sampleSize('SWARM_SERVICES', { small: 2, full: 3 }) === 3;
const SERVICES = ['sensoryservice', 'classificationservice', ...(isWhole ? ['trainingprocessor'] : [])];
const IMAGES = SERVICES.map((name) => `dicebox.${name}`);
const KEY = '6e249b5f-b483-4e0d-b50b-81d95e3d9a59';

/** Nobody is there: the services start all the same, and say so at `/ready`. */
const SETTINGS = `compute: http://172.17.0.1:8081
storage: http://172.17.0.1:8082
api_key: ${KEY}
data_dir: /dicebox/data
training_processor:
  compute: http://172.17.0.1:8081
  compute_user: worker
  compute_password: long-and-random
  storage: http://172.17.0.1:8082
  storage_user: worker
  storage_password: long-and-random
`;

test('The lines of the guide bring dicebox onto a Swarm, typed as they stand there, and update it', async (t) => {
  t.timeout(900_000);
  await run(
    'make',
    IMAGES.map((name) => `${name}-docker`),
    { cwd: ROOT },
  );
  await using swarm = await openSwarm();
  const [settings = '', sensory = '', processor = '', classification = '', start = '', updates = ''] =
    await swarm.blocks();

  await swarm.type(settings);
  await swarm.type(sensory);
  t.is(await (await swarm.ask(8002, '/health/plain')).text(), 'true');
  const picture = { name: 'dicebox', width: 2, height: 2, category: '1d6_1', data: RED };
  const stored = await swarm.ask(8002, '/api/sensory/store', picture);
  t.deepEqual([stored.status, await stored.json()], [200, { sensory_store: true }]);

  if (isWhole) await swarm.type(processor);
  await swarm.type(classification);
  t.is(await swarm.replicas('classificationservice'), '0/0');
  await swarm.type(start);
  t.like(await (await swarm.ask(8003, '/api/version')).json(), { version: '0.3.0' });
  t.is((await swarm.ask(8003, '/api/sensory/category')).status, 404);
  for (const name of SERVICES) {
    t.is(await swarm.replicas(name), '1/1', name);
    t.is(await swarm.userOf(name), '65532', name);
  }

  // As after a push: the same tag would not be another image.
  for (const name of IMAGES) await swarm.docker('tag', `morpheo/${name}`, `morpheo/${name}:next`);
  const before = await swarm.tasks();
  const lines = updates.split('\n').filter((line) => SERVICES.some((name) => line.endsWith(` ${name}`)));
  t.is(lines.length, SERVICES.length);
  await swarm.type(lines.join('\n').replaceAll(':latest', ':next'));
  t.is((await swarm.tasks()).filter((task) => before.includes(task)).length, 0);
  await eventually(t, async (t) => {
    const known = await (await swarm.ask(8002, '/api/sensory/category')).json();
    t.deepEqual(known, { category_map: { '1d6_1': 0 } });
  });
});

/** A PNG of four red dots, in Base64. */
const RED =
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAMAAABFaP0WAAAAA1BMVEX/AAAZ4gk3AAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAC0lEQVQImWNgAAEAAAYAAeaH/n8AAAAASUVORK5CYII=';

/** A Swarm of one node with the images, and a shell in which the blocks of the guide are typed. */
async function openSwarm() {
  await using stack = new AsyncDisposableStack();
  const dind = stack.use(await startDind({ swarm: true }));
  await dind.loadImages(IMAGES.map((name) => `morpheo/${name}:latest`));
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-swarm-')));
  await writeFile(join(folder.path, 'dicebox.yaml'), SETTINGS);
  const env = { ...process.env, DOCKER_HOST: `unix://${dind.socketPath}` };
  const docker = async (...words: readonly string[]) => (await run('docker', words, { env })).stdout.trim();
  const opened = stack.move();
  return {
    docker,
    /** The blocks of the guide that are to be typed. */
    blocks: async () => {
      const page = await readFile(join(ROOT, 'docs/dicebox.md'), 'utf8');
      const [, section = ''] = page.split('## On a Docker Swarm');
      return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    },
    /** Types a block as the guide has it where the kernel has no ingress. */
    type: async (block: string) => {
      const typed = block.replaceAll(/--publish (\d+):(\d+)/g, '--publish mode=host,published=$1,target=$2');
      await run('bash', ['-euo', 'pipefail', '-c', typed], { cwd: folder.path, env });
    },
    ask: async (port: number, path: string, body?: object) =>
      await fetch(`http://${dind.tls?.host}:${port}${path}`, {
        headers: { 'API-ACCESS-KEY': KEY, 'API-VERSION': '0.3.0', 'content-type': 'application/json' },
        ...(body && { method: 'POST', body: JSON.stringify(body) }),
      }),
    replicas: async (name: string) =>
      await docker('service', 'ls', '--filter', `name=${name}`, '--format', '{{.Replicas}}'),
    /** The containers that run. */
    tasks: async () => (await docker('ps', '--quiet')).split('\n'),
    userOf: async (name: string) => {
      const container = await docker('ps', '--quiet', '--filter', `name=${name}`);
      return await docker('exec', container, 'id', '--user');
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
