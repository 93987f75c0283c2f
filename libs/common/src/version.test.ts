import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import { VERSION } from './contract/service.ts';

const ROOT = new URL('../../../', import.meta.url);

test('All packages have the one version', async (t) => {
  const folders = await Promise.all(
    ['apps', 'libs'].map(async (level) =>
      (await readdir(new URL(level, ROOT))).map((name) => `${level}/${name}`),
    ),
  );
  const manifests = await Promise.all(
    folders.flat().map(async (folder) => {
      const text = await readFile(new URL(`${folder}/package.json`, ROOT), 'utf8');
      return JSON.parse(text) as { readonly name: string; readonly version: string };
    }),
  );
  t.true(manifests.length >= 8);
  for (const { name, version } of manifests) t.is(version, VERSION, name);
});
