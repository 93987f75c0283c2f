import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ArchiveError } from './header.ts';
import { chunked, FLAGS, listing, paxRecord, type RawEntry, rawTarGz, temporaryFolder } from './testing.ts';
import type { TreeLimits } from './tree-limits.ts';
import { unpackArchive } from './unpack.ts';

const LIMITS: TreeLimits = { bytes: 1_000_000, files: 50, depth: 6, pathBytes: 300 };

const name = fc.oneof(
  fc.constantFrom('..', '.', '', 'a', 'b', 'out', '~', '...', 'C:', 'a\0', '\u202e', '..\\..'),
  fc.string({ unit: 'binary', maxLength: 5 }),
);
const path = fc
  .tuple(fc.constantFrom('', '/', './', '//', '../'), fc.array(name, { maxLength: 6 }))
  .map(([start, names]) => start + names.join('/'));
const flag = fc.constantFrom(FLAGS.file, FLAGS.folder, FLAGS.symlink, FLAGS.hardLink, FLAGS.fifo);
const entry = fc.tuple(path, path, flag, fc.boolean());

function entriesOf([name, link, flag, inPax]: [string, string, string, boolean]): RawEntry[] {
  const body = flag === FLAGS.file ? 'text' : '';
  if (!inPax) return [{ name, link, flag, body }];
  return [
    { name: 'pax', flag: FLAGS.pax, body: paxRecord('path', name) },
    { name: 'x', link, flag, body },
  ];
}

test('Whatever an archive names, nothing is written outside of its folder', async (t) => {
  await using box = await temporaryFolder();
  const out = join(box.path, 'deep', 'inside', 'out');
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 4 }), async (entries) => {
      await rm(join(box.path, 'deep'), { recursive: true, force: true });
      await mkdir(join(box.path, 'deep', 'inside'), { recursive: true });
      const archive = rawTarGz(entries.flatMap(entriesOf));
      const before = await listing(box.path);
      try {
        await unpackArchive(chunked(archive), out, LIMITS, new AbortController().signal);
      } catch (error) {
        if (!(error instanceof ArchiveError)) throw error;
        t.deepEqual(await listing(box.path), before);
        return;
      }
      const outside = (await listing(box.path)).filter(
        (path) => !path.startsWith(join('deep', 'inside', 'out')),
      );
      t.deepEqual(outside, before);
    }),
    { numRuns: 300 },
  );
});
