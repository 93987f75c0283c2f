import test from 'ava';
import { violations } from './imports.ts';
import { readTree } from './tree.ts';

test('Every package imports only what is below it, through the doors, and without a cycle', async (t) => {
  const files = await readTree();
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
    'a tool in what is shipped',
    { 'apps/cli/src/a.ts': "import { startNsqd } from '@morpheo/real-parts';" },
    /not below apps\/cli/,
  ],
  [
    'a package that has no level',
    { 'apps/unknown/src/a.ts': "import { x } from '@morpheo/common';" },
    /in no package of the table/,
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

for (const [title, files, expected] of PLANTED) {
  test(`It finds ${title}`, (t) => {
    const broken = violations(new Map(Object.entries(files)));
    t.is(broken.length, 1);
    t.regex(broken[0] ?? '', expected);
  });
}
