import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { ROOT } from './tree.ts';

const read = async (path: string) => await readFile(join(ROOT, path), 'utf8');
const lockFile = z.object({
  packages: z.record(z.string(), z.object({ hasInstallScript: z.boolean().optional() })),
});
const manifest = z.object({ allowScripts: z.record(z.string(), z.boolean()) });

async function allowed(): Promise<[string, boolean][]> {
  return Object.entries(manifest.parse(JSON.parse(await read('package.json'))).allowScripts);
}

test('Packages that are installed run no script of their own, under any version of npm', async (t) => {
  const locks = await Array.fromAsync(
    glob('{.,examples/*,programs/*,apps/*,libs/*,utils/*}/package-lock.json', { cwd: ROOT }),
  );
  t.true(locks.length >= 2);
  for (const lock of locks) {
    t.regex(await read(join(dirname(lock), '.npmrc')), /^ignore-scripts=true$/m, lock);
  }
});

test('Of each package that has such a script is decided whether it runs, and make install runs those alone', async (t) => {
  const { packages } = lockFile.parse(JSON.parse(await read('package-lock.json')));
  const withScript = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  const decided = await allowed();
  const asKeys = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, true]));
  t.deepEqual(asKeys(withScript), asKeys(decided.map(([name]) => name)));
  const rebuilt = [...(await read('Makefile')).matchAll(/npm rebuild (.*) --ignore-scripts=false/g)];
  t.deepEqual(
    rebuilt.flatMap(([, names = '']) => names.split(' ')),
    decided.filter(([, runs]) => runs).map(([name]) => name),
  );
});
