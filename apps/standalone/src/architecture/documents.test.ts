import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { countsOf, journeysOf, pathsIn, sectionOf } from './journeys.ts';
import { ROOT, readTree } from './tree.ts';

const page = await readFile(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
const exists = (path: string): boolean => existsSync(join(ROOT, path));
const isInstalled = (path: string): boolean => path.includes('node_modules');
const FULL = /`(?<path>(?:apps|libs|utils|docs|examples|packaging|simulation|chaos|bench)\/[\w./-]*)`/g;

test('Every path that a document names is there', async (t) => {
  let named = 0;
  for await (const document of glob('**/*.md', { cwd: ROOT, exclude: isInstalled })) {
    const text = await readFile(join(ROOT, document), 'utf8');
    const full = [...text.matchAll(FULL)].map(({ groups }) => groups?.path ?? '');
    // The page alone has short names.
    const paths = document === 'ARCHITECTURE.md' ? pathsIn(text) : full;
    const links = [...text.matchAll(/\]\((?<to>[^)#:]+)(?:#[^)]*)?\)/g)].map(({ groups }) =>
      join(dirname(document), groups?.to ?? ''),
    );
    named += paths.length + links.length;
    t.deepEqual(
      [...paths, ...links].filter((path) => !exists(path)),
      [],
      document,
    );
  }
  t.true(named > 100, `${named}`);
});

test('Each file at the top of an app, and each folder of an app and of libs/service, is in one row of the page', async (t) => {
  const rows = pathsIn(sectionOf(page, 2).split(/^### Services$/m)[1] ?? '').map((path) =>
    path.replace(/\/$/, ''),
  );
  const tree = [...(await readTree()).keys()].filter((path) => !/src\/[^/]+\.test\.ts$|\/testing/.test(path));
  const expected = new Set(
    tree.flatMap((path) => /^(?:apps\/[^/]+|libs\/service)\/src\/[^/]+/.exec(path)?.[0] ?? []),
  );
  t.deepEqual(
    [...expected].filter((path) => !rows.includes(path)),
    [],
    'not on the page',
  );
  t.deepEqual(
    rows.filter((path, index) => !expected.has(path) || rows.indexOf(path) !== index),
    [],
    'on the page twice, or not in the tree',
  );
});

test('The map of the whole names each package, and so does the table of levels', async (t) => {
  const map = [...sectionOf(page, 1).matchAll(/^\| `(?<name>[\w/-]+)` \|/gm)].map(
    ({ groups }) => groups?.name ?? '',
  );
  t.deepEqual(
    map.filter((path) => !exists(path)),
    [],
  );
  const levels = sectionOf(page, 2).split(/^### Services$/m)[0] ?? '';
  const found: string[] = [];
  for await (const file of glob('{*,*/*}/package.json', { cwd: ROOT, exclude: isInstalled })) {
    const name = dirname(file);
    found.push(name);
    t.true(map.includes(name), `${name} is not on the map`);
    t.true(levels.includes(`\`${name}\``), `${name} is not in the table of levels`);
  }
  t.true(found.length > 12, `${found}`);
});

test('There are eight journeys, whose files are read in a handful of rows', (t) => {
  const journeys = journeysOf(page);
  t.is(journeys.length, 8);
  for (const journey of journeys) {
    const { opened, jumps } = countsOf(journey);
    t.true(opened <= 24 && jumps <= 4, `${journey.title}: ${opened} files, ${jumps} jumps back`);
  }
});

test('Entering a file again is a jump back, staying in it is none', (t) => {
  const text =
    '## 3. The way\n### One\n| 1 | a | `cli/a.ts`, `cli/b.ts` |\n| 2 | b | `cli/b.ts`, `cli/a.ts` |\n## 4. End\n';
  const [journey] = journeysOf(text);
  t.deepEqual(
    journey?.files,
    ['a', 'b', 'b', 'a'].map((name) => `apps/cli/src/${name}.ts`),
  );
  t.deepEqual(journey && countsOf(journey), { opened: 2, jumps: 1 });
});
