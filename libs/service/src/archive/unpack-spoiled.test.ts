import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { ArchiveError } from './header.ts';
import { chunked, FLAGS, listing, paxRecord, rawTarGz, temporaryFolder } from './testing.ts';
import type { TreeLimits } from './tree-limits.ts';
import { unpackArchive } from './unpack.ts';

const LIMITS: TreeLimits = { bytes: 10_000, files: 20, depth: 6, pathBytes: 300 };

/** An archive with what a reader may stumble over: long names, records of headers, folders, an empty file. */
const WELL = rawTarGz([
  { name: 'Dockerfile', body: 'FROM scratch\n' },
  {
    name: 'pax',
    flag: FLAGS.pax,
    body: paxRecord('path', `deep/${'long'.repeat(40)}`) + paxRecord('size', '4'),
  },
  { name: 'short', body: 'text' },
  { name: 'longlink', flag: FLAGS.gnuLongName, body: `folder/${'name'.repeat(50)}\0` },
  { name: 'folder/name', body: 'x'.repeat(1500) },
  { name: 'folder/', flag: FLAGS.folder },
  { name: 'empty' },
]);

const spot = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
const spoiling = fc.record({
  /** Of the archive that is inside, or of what it is packed as. */
  inside: fc.boolean(),
  spots: fc.array(spot, { maxLength: 3 }),
  cut: fc.option(fc.nat(), { nil: undefined, freq: 1 }),
  again: fc.boolean(),
  chunk: fc.integer({ min: 1, max: 3000 }),
});

function spoil(
  bytes: Buffer,
  { spots, cut, again }: { spots: { at: number; byte: number }[]; cut: number | undefined; again: boolean },
) {
  const spoilt = Buffer.from(again ? Buffer.concat([bytes, bytes]) : bytes);
  for (const { at, byte } of spots) spoilt[at % spoilt.length] = byte;
  return cut === undefined ? spoilt : spoilt.subarray(0, cut % (spoilt.length + 1));
}

test('An archive with spoilt bytes is unpacked within its limits or refused, and leaves nothing then', async (t) => {
  t.timeout(300_000);
  await using box = await temporaryFolder();
  const out = join(box.path, 'inside', 'out');
  const ends = { unpacked: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(spoiling, async (how) => {
      await rm(join(box.path, 'inside'), { recursive: true, force: true });
      await mkdir(join(box.path, 'inside'));
      const archive = how.inside ? gzipSync(spoil(gunzipSync(WELL), how)) : spoil(WELL, how);
      try {
        const { bytes, files } = await unpackArchive(
          chunked(archive, how.chunk),
          out,
          LIMITS,
          AbortSignal.timeout(30_000),
        );
        ends.unpacked += 1;
        t.true(bytes <= LIMITS.bytes && files <= LIMITS.files);
        t.deepEqual(
          (await listing(box.path)).filter((path) => !path.startsWith(join('inside', 'out'))),
          ['inside'],
        );
      } catch (error) {
        if (!(error instanceof ArchiveError)) throw error;
        ends.refused += 1;
        t.deepEqual(await listing(box.path), ['inside']);
      }
    }),
    { numRuns: 400 },
  );
  t.true(ends.unpacked > 10 && ends.refused > 10, JSON.stringify(ends));
  t.log(JSON.stringify(ends));
});
