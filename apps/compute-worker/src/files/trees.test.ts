import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import { sampleSize } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import fc from 'fast-check';
import { packFolder } from '../archive/pack.ts';
import { type CollectedFile, collectTree } from '../outputs/collect.ts';
import { measure, UNBOUNDED } from '../runtime/folders.ts';
import { openTree } from './open-tree.ts';
import { removeTree } from './remove-tree.ts';

/**
 * Trees as code may leave them: any mode, any owner (where the test is root, who alone can give files away) and any
 * kind of file. `another-user.test.ts` runs this as a user that is not root.
 */
interface Folder {
  readonly kind: 'folder';
  readonly mode: number;
  readonly inside: readonly Node[];
}
type Node = Folder | { readonly kind: 'file' | 'link' | 'fifo'; readonly mode: number };

const IS_ROOT = process.getuid?.() === 0;
const SOMEBODY = 12_345;
const mode = fc.oneof(fc.constantFrom(0, 0o200, 0o400, 0o500, 0o555, 0o755), fc.nat({ max: 0o7777 }));
const leaf = fc.record({
  kind: fc.oneof(
    { weight: 20, arbitrary: fc.constant('file' as const) },
    fc.constantFrom('link' as const, 'fifo' as const),
  ),
  mode,
});
const { folder } = fc.letrec<{ node: Node; folder: Folder }>((tie) => ({
  node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('folder')),
  folder: fc.record({
    kind: fc.constant('folder' as const),
    mode,
    inside: fc.array(tie('node'), { maxLength: 4 }),
  }),
}));

/** What stands in a tree: the files that are to be found, and the paths of what is neither file nor folder. */
interface Made {
  readonly files: CollectedFile[];
  readonly odd: string[];
  entries: number;
}

async function make(
  tree: Folder,
  at: string,
  path: string,
  owner: number | undefined,
  made: Made,
): Promise<void> {
  for (const [index, node] of tree.inside.entries()) {
    const inside = path === '' ? `n${index}` : `${path}/n${index}`;
    const target = join(at, inside);
    made.entries += 1;
    if (node.kind === 'folder') {
      await mkdir(target);
      await make(node, at, inside, owner, made);
    } else if (node.kind === 'file') {
      await writeFile(target, inside);
      made.files.push({ path: inside, size: inside.length, executable: (node.mode & 0o111) !== 0 });
    } else {
      if (node.kind === 'link') await symlink('/etc/passwd', target);
      else execFileSync('mkfifo', [target]);
      made.odd.push(inside);
    }
    if (owner !== undefined && node.kind !== 'link') await chown(target, owner, owner);
    if (node.kind !== 'link') await chmod(target, node.mode);
  }
}

function isTakeable(tree: Folder): boolean {
  return tree.inside.every((node) => (node.kind === 'folder' ? isTakeable(node) : node.kind === 'file'));
}

test('Whatever modes, owners and kinds of file a tree has, it is measured, taken or refused by name, and removed', async (t) => {
  await using box = await temporaryFolder();
  const seen = { taken: 0, refused: 0 };
  const each = sampleSize('TREES', { small: 40, full: 2000 }) / 2;
  const trees = [folder.filter(isTakeable), folder.filter((tree) => !isTakeable(tree))];
  const owner = IS_ROOT ? fc.constantFrom(undefined, SOMEBODY) : fc.constant(undefined);
  const property = (trees: fc.Arbitrary<Folder>) =>
    fc.asyncProperty(trees, owner, async (tree, owner) => {
      const root = join(box.path, 'tree');
      const made: Made = { files: [], odd: [], entries: 0 };
      await mkdir(root);
      await make(tree, root, '', owner, made);
      await chmod(root, tree.mode);
      t.is((await measure([root], UNBOUNDED)).files, made.entries);
      await openTree(root);
      const limits = { bytes: 1e6, files: 1000, depth: 60, pathBytes: 1000 };
      const collecting = collectTree(root, { limits, at: '/data/model' });
      if (made.odd.length === 0) {
        const files = await collecting;
        t.deepEqual(
          files,
          made.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
        );
        const target = join(box.path, 'model.tar.gz');
        await packFolder(root, { files, target, signal: new AbortController().signal });
        await removeTree(target);
        seen.taken += 1;
      } else {
        const error = await t.throwsAsync(collecting, { instanceOf: OrderFailure });
        t.is(error.failure.reason, 'invalid_result');
        t.true(made.odd.some((path) => error.failure.file === `/data/model/${path}`));
        seen.refused += 1;
      }
      await removeTree(root);
      t.false(existsSync(root));
    });
  for (const some of trees) await fc.assert(property(some), { numRuns: each });
  t.deepEqual(seen, { taken: each, refused: each });
  t.is((await readFile('/etc/passwd', 'utf8')).length > 0, true);
});

/** Makes 25 folders in one another, which is deeper than a path can say, with a file in the last, and hides that one. */
const DEEP = `const fs = require('node:fs');
for (let depth = 0; depth < 25; depth += 1) {
  fs.mkdirSync('d'.repeat(200));
  process.chdir('d'.repeat(200));
}
fs.writeFileSync('x', 'x');
fs.chmodSync('.', 0);`;

test('A tree is removed whatever its depth, its names and its modes, and is gone when that settles', async (t) => {
  await using box = await temporaryFolder();
  const root = join(box.path, 'tree');
  for (let time = 0; time < 4; time += 1) {
    mkdirSync(join(root, 'wide', 'e'), { recursive: true });
    for (let index = 0; index < 100; index += 1) writeFileSync(join(root, 'wide', 'e', `${index}`), '');
    writeFileSync(Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9])]), '');
    execFileSync(process.execPath, ['-e', DEEP], { cwd: root });
    for (const [path, mode] of [
      ['wide/e', 0o555],
      ['wide', 0o500],
      ['.', 0o555],
    ] as const)
      await chmod(join(root, path), mode);
    const use = await measure([root], UNBOUNDED);
    t.is(use.files, 2 + 100 + 1 + 25 + 1);
    await removeTree(root);
    await t.throwsAsync(lstat(root), { code: 'ENOENT' });
  }
  await t.notThrowsAsync(removeTree(root), 'what is not there is fine');
});

test('A link is removed, and what it leads to stays', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'kept'), 'kept');
  await mkdir(join(box.path, 'tree'));
  await symlink(box.path, join(box.path, 'tree', 'link'));
  await symlink(join(box.path, 'tree'), join(box.path, 'itself'));
  await removeTree(join(box.path, 'itself'));
  t.true(existsSync(join(box.path, 'tree')));
  await openTree(join(box.path, 'tree'));
  await removeTree(join(box.path, 'tree'));
  t.is(await readFile(join(box.path, 'kept'), 'utf8'), 'kept');
});
