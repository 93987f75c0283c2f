import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import * as z from 'zod';
import { Refusal } from '../refusal.ts';
import { genomeSchema } from './genome.ts';
import { genomeShapes } from './shapes.ts';

const fixture = z.union([
  z.object({ genome: z.json(), shapes: z.array(z.array(z.int())) }),
  z.object({ genome: z.json(), refused: z.enum(['shape', 'form']), layer: z.int().optional() }),
]);

// The search makes genomes by a reader of its own, which is tested with the same files.
test('Genomes are read, and refused, as the search does', (t) => {
  const folder = new URL('../../fixtures/genomes/', import.meta.url);
  for (const name of readdirSync(folder)) {
    const expected = fixture.parse(JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
    const read = genomeSchema.safeParse(expected.genome);
    if (!('refused' in expected)) {
      if (!read.success) throw read.error;
      t.deepEqual<unknown, unknown>(genomeShapes(read.data), expected.shapes, name);
      continue;
    }
    t.is(read.success, expected.refused === 'shape', name);
    if (!read.success) continue;
    const message = new RegExp(`layer ${(expected.layer ?? 0) + 1} `);
    t.throws(() => genomeShapes(read.data), { instanceOf: Refusal, message }, name);
  }
});
