import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mainOf } from '@morpheo/real-parts';
import test from 'ava';

test('A broken configuration is told by --check and at the start, also where the platform is of this process', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-shepherd-'));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const config = join(folder, 'shepherd.yml');
  await writeFile(config, `data_root: ${folder}\nsheep:\n  a: {type: goat, port: 1}\n`);
  for (const flags of [['--check'], []]) {
    const { code, printed } = await runOn([...flags, '-c', config]);
    t.not(code, 0);
    t.regex(printed, /line 3: sheep.a.type: should have a type/);
  }
});

/** Runs `shepherd` to its end. */
async function runOn(
  flags: readonly string[],
): Promise<{ readonly code: unknown; readonly printed: string }> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [mainOf('shepherd'), ...flags], { env: {} }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, printed: stdout + stderr }),
    );
  });
}
