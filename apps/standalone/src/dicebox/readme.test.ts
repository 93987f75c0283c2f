import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import type { Connection } from '../connection.ts';

const run = promisify(execFile);
const test = withParts(ava, 'fashion-mnist');
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** What a line of the page has more in the test: any free ports, and less of everything. */
const REDUCED: readonly (readonly [line: RegExp, more: string])[] = [
  [
    /morpheo up --dicebox/,
    '--storage-port 0 --compute-port 0 --orchestrator-port 0 --dicebox-port 0 --classification-port 0',
  ],
  [/fashion\.js/, '--train 300 --test 20'],
  [/pictures train/, '--epochs 2 --network mlp'],
  [/outside_trainer\.py/, '--pictures 60 --epochs 2'],
];

test('The four commands of the example lead from an empty folder to a network that is asked, typed as they stand there', async (t) => {
  t.timeout(300_000);
  await using place = await openPlace();
  const [up = '', commands = '', classify = '', outside = '', ...others] = await place.blocks();
  t.deepEqual(others, []);
  t.is(`${up}${commands}`.trim().split('\n').length, 4);

  place.leave(up);
  await eventually(t, async (t) => t.truthy(await place.dicebox(), place.printed()));
  const told = await place.type(commands);
  t.regex(told, /fashion_28x28 {2}300 pictures stored/);
  t.regex(told, /epoch 2 of 2 .* accuracy \d+\.\d\d %/);

  await eventually(t, async (t) => t.regex(await place.type(classify), /00018\.png: [\w -]+ {2}\d+\.\d %/));
  const trained = await place.type(outside.replace('http://127.0.0.1:8002', (await place.dicebox()) ?? ''));
  t.regex(
    trained,
    /60 pictures of 10 categories, 784 pixels each\n.*\nepoch 2: accuracy 0\.\d+ on 12 held out/,
  );
});

/** An empty folder, in which the example is as in the repository; what is left running there ends with the test. */
async function openPlace() {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-pictures-'));
  await symlink(join(ROOT, 'examples'), join(folder, 'examples'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const env = {
    ...process.env,
    PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`,
    MORPHEO_HOME: join(folder, 'home'),
  };
  const shell = (block: string) => ['-euo', 'pipefail', '-c', block.split('\n').map(reduced).join('\n')];
  let printed = '';
  let left: ChildProcess | undefined;
  return {
    printed: () => printed,
    /** What is to be typed, block by block. */
    blocks: async () => {
      const page = await readFile(join(ROOT, 'examples/pictures/README.md'), 'utf8');
      return [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    },
    /** Where the platform's pictures are; undefined before it tells that. */
    dicebox: async () => {
      const text = await readFile(join(folder, 'home/connection.json'), 'utf8').catch(() => '{}');
      return (JSON.parse(text) as Partial<Connection>).dicebox;
    },
    /** Types a block, and returns what it prints. */
    type: async (block: string) => (await run('bash', shell(block), { cwd: folder, env })).stdout,
    /** Types a block that goes on until the end of the test. */
    leave: (block: string) => {
      left = spawn('bash', shell(block), {
        cwd: folder,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      for (const stream of [left.stdout, left.stderr])
        stream?.on('data', (chunk) => {
          printed += String(chunk);
        });
    },
    async [Symbol.asyncDispose]() {
      if (left?.pid !== undefined && left.exitCode === null) {
        const closed = once(left, 'close');
        // As Ctrl-C does: npx hands nothing on.
        process.kill(-left.pid, 'SIGINT');
        await closed;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function reduced(line: string): string {
  const more = REDUCED.find(([pattern]) => pattern.test(line))?.[1];
  return more === undefined ? line : `${line} ${more}`;
}
