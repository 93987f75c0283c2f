import { type ChildProcess, execFile, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  freePorts,
  removeOrphanProjects,
  requireProgram,
  sampleSize,
  testProject,
  withParts,
} from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';

const run = promisify(execFile);
const test = withParts(ava, 'docker', 'compose', 'molotov');
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const EXAMPLE = 'examples/shepherd';

test('The five steps of the example do what it says, typed as they stand there, and so does its load', async (t) => {
  t.timeout(600_000);
  await run(join(ROOT, 'packaging/parts/ensure'), ['registry', 'minio']);
  await run(join(ROOT, 'utils/base-images/ensure'), ['debian:bookworm-slim']);
  await using place = await openPlace();
  const [sandbox = '', model = '', shepherd = '', job = '', bucket = '', ...further] = await place.steps();
  t.deepEqual(further, [], 'there are five steps');

  await place.type(sandbox);
  await eventually(t, async (t) => t.true((await fetch(`${place.registry}/v2/`)).ok));
  await place.type(model);
  place.leave(shepherd);
  await eventually(t, async (t) => t.true((await fetch(`${place.url}/health`)).ok, place.printed()));
  const first = await place.type(job);
  t.regex(first, /"success":true/, place.printed());
  t.regex(first, /"status":"done"/, place.printed());
  t.regex(first, /\{"result": "42"\}/);
  t.regex(first, /"sheep":\{"cpu_sheep_1":/);
  const second = await place.type(bucket);
  t.regex(second, /\{"result": "43"\}/, place.printed());

  const load = await place.load(sampleSize('SHEPHERD_LOAD_SECONDS', { small: 3, full: 60 }));
  t.regex(load, /SUCCESSES: [1-9]\d* \| FAILURES: 0/, place.printed());
  t.log(load.match(/SUCCESSES: .*/)?.[0]);
});

/** A folder with the example in it, on ports of its own; what was started there ends with the test. */
async function openPlace() {
  await removeOrphanProjects();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-readme-'));
  const [registry = 0, storage = 0, port = 0] = await freePorts(3);
  const here = (text: string) =>
    text
      .replaceAll(/(127\.0\.0\.1:|-p )(6000|7000|5000)\b/g, (_all, before: string, usual: string) => {
        return `${before}${{ 6000: registry, 7000: storage, 5000: port }[usual] ?? usual}`;
      })
      .replaceAll('/tmp/', `${folder}/`);
  await cp(join(ROOT, EXAMPLE), join(folder, EXAMPLE), { recursive: true });
  for (const name of ['docker-cpu', 'docker-gpu', 'bare']) {
    const path = join(folder, EXAMPLE, `configs/shepherd-${name}.yml`);
    await writeFile(path, here(await readFile(path, 'utf8')));
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const env = {
    ...process.env,
    PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`,
    COMPOSE_PROJECT_NAME: testProject('readme'),
    SANDBOX_REGISTRY_PORT: String(registry),
    SANDBOX_STORAGE_PORT: String(storage),
    COMPOSE_FILE: '',
  };
  const shell = (script: string) => ['-euo', 'pipefail', '-c', here(script)];
  let printed = '';
  let left: ChildProcess | undefined;
  return {
    registry: `http://127.0.0.1:${registry}`,
    url: `http://127.0.0.1:${port}`,
    printed: () => printed,
    /** The blocks of the page that are to be typed. */
    steps: async () => {
      const page = await readFile(join(ROOT, EXAMPLE, 'README.md'), 'utf8');
      return [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    },
    /** Types a block, and returns what it prints. */
    type: async (block: string) => (await run('bash', shell(block), { cwd: folder, env })).stdout,
    /** Types a block that goes on until the end of the test. */
    leave: (block: string) => {
      const stdio: StdioOptions = ['ignore', 'pipe', 'pipe'];
      left = spawn('bash', shell(block), { cwd: folder, env, stdio, detached: true });
      for (const stream of [left.stdout, left.stderr])
        stream?.on('data', (chunk) => {
          printed += String(chunk);
        });
    },
    /** What `loadtest.py` prints at the end. */
    load: async (seconds: number) => {
      const words = [`${EXAMPLE}/loadtest.py`, '-p', '2', '-w', '10', '-d', String(seconds), '-xv'];
      const more = {
        SHEPHERD_URL: `http://127.0.0.1:${port}`,
        SHEPHERD_STORAGE_URL: `http://127.0.0.1:${storage}`,
        SHEPHERD_ACCESS_KEY: 'shepherd',
        SHEPHERD_SECRET_KEY: 'known-to-everybody',
      };
      const ran = run(requireProgram('molotov'), words, { cwd: folder, env: { ...env, ...more } });
      ran.child.stdin?.end();
      const { stdout, stderr } = await ran;
      return `${stdout}${stderr}`;
    },
    async [Symbol.asyncDispose]() {
      if (left?.pid !== undefined && left.exitCode === null) {
        const closed = once(left, 'close');
        // As Ctrl-C does: npx hands nothing on.
        process.kill(-left.pid, 'SIGINT');
        await closed;
      }
      await run('docker', ['image', 'rm', '--force', `127.0.0.1:${registry}/echo:1.0`]);
      await run('docker-compose', ['-f', `${EXAMPLE}/docker-compose-sandbox.yml`, 'down', '-v'], {
        cwd: folder,
        env,
      });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
