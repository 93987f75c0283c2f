import test from 'ava';
import { crowdedFolders, LIMITS, smallFiles } from './sizes.ts';
import { readTree } from './tree.ts';

test('No folder holds more source files than a reader takes in', async (t) => {
  t.deepEqual(crowdedFolders(await readTree()), []);
});

test('Few source files are so small that they are a detour', async (t) => {
  const small = smallFiles(await readTree());
  t.true(small.length <= LIMITS.smallFiles, `${small.length}: ${small.join(', ')}`);
});

test('A crowded folder and a small file are found', (t) => {
  const lines = (count: number) => 'line\n'.repeat(count);
  const files = new Map([
    ...Array.from({ length: 9 }, (_, n) => [`apps/cli/src/top-${n}.ts`, lines(21)] as const),
    ...Array.from({ length: 17 }, (_, n) => [`libs/service/src/http/${n}.ts`, lines(21)] as const),
    ...Array.from({ length: 17 }, (_, n) => [`apps/cli/src/full/${n}.test.ts`, lines(21)] as const),
    ['libs/common/src/small.ts', lines(20)] as const,
  ]);
  t.deepEqual(crowdedFolders(files), [
    'apps/cli/src holds 9 source files, 8 at most',
    'libs/service/src/http holds 17 source files, 16 at most',
  ]);
  t.deepEqual(smallFiles(files), ['libs/common/src/small.ts']);
});
