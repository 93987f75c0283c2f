import { execFile } from 'node:child_process';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { runnerWithLease } from './runner-with-lease.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

/** A folder with a program nvidia-smi that prints this. */
async function driver(printed: string) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'gpu-proof-'));
  await writeFile(join(folder.path, 'nvidia-smi'), `#!/bin/sh\n${printed}\n`, { mode: 0o755 });
  return folder;
}

test('Without a GPU the table names what was left out, and why, and nothing fails', async (t) => {
  await using folder = await driver('exit 9');
  const env = { ...process.env, PATH: `${folder.path}:${process.env.PATH}` };
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; printed: string }>();
  execFile(process.execPath, [MAIN], { env }, (error, printed) =>
    resolve({ code: error?.code ?? 0, printed }),
  );
  const { code, printed } = await promise;
  t.is(code, 0);
  t.regex(printed, /Docker-in-Docker[\s\S]*trains on the GPU[\s\S]*warm runner/);
  t.regex(printed, /there is no nvidia-smi/);
  t.regex(printed, /^4 of 4 were left out: they are not shown\.$/m);
  t.notRegex(printed, /│ (shown|failed)/);
});

test.serial('A runner is shown to have the GPU that the platform has lent it', async (t) => {
  await using folder = await driver('echo "0, GPU-7, Stand-in, 81920 MiB"');
  const former = process.env.PATH;
  process.env.PATH = `${folder.path}:${former}`;
  try {
    const gpus = [{ id: 'GPU-7', name: 'Stand-in' }];
    const context = { gpus, folder: folder.path, say: (line: string) => t.log(line) };
    t.regex(await runnerWithLease.show(context), /^process \d+ has GPU-7, in both calls$/);
  } finally {
    process.env.PATH = former;
  }
});
