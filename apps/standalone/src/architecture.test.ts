import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { violations } from './architecture.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

test('The house keeps its own rules', async (t) => {
  const files = new Map<string, string>();
  for await (const path of glob('{libs,apps}/*/src/**/*.ts', { cwd: ROOT })) {
    files.set(path, await readFile(`${ROOT}/${path}`, 'utf8'));
  }
  t.true(files.size > 100);
  t.deepEqual(violations(files), []);
});

const PLANTED: readonly [string, Record<string, string>, RegExp][] = [
  [
    'a vendor past its door',
    { 'apps/cli/src/a.ts': "import Koa from 'koa';" },
    /imports koa, which has its door/,
  ],
  [
    'a package beside',
    { 'apps/cli/src/a.ts': "import { x } from '@morpheo/storage-api';" },
    /not below apps\/cli/,
  ],
  [
    'a package above',
    { 'libs/common/src/a.ts': "import type { X } from '@morpheo/client';" },
    /not below libs\/common/,
  ],
  [
    'a way around a package',
    { 'libs/client/src/a.ts': "import '../../service/src/http/index.ts';" },
    /not below/,
  ],
  ['a lazy import', { 'libs/common/src/a.ts': "await import('@morpheo/service/http');" }, /not below/],
  [
    'the environment',
    { 'libs/client/src/a.ts': 'export const home = process.env.HOME;' },
    /reads the environment/,
  ],
  [
    'an import cycle',
    {
      'apps/cli/src/a.ts': "import { b } from './b.ts';",
      'apps/cli/src/b.ts': "import type { C } from './c.ts';",
      'apps/cli/src/c.ts': "export { a } from './a.ts';",
    },
    /import cycle: .*a\.ts → .*b\.ts → .*c\.ts → .*a\.ts/,
  ],
];

for (const [what, files, expected] of PLANTED) {
  test(`It finds ${what}`, (t) => {
    const found = violations(new Map(Object.entries(files)));
    t.is(found.length, 1);
    t.regex(found[0] ?? '', expected);
  });
}
