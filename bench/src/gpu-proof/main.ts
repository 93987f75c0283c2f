/*
 * `make gpu-proof`: runs all that only a real GPU shows, and prints a table of what was seen. What cannot be run here is
 * named with its reason. Ends with 1 where something was run and was not as it should be.
 */
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { prove } from './prove.ts';

const openFolder = async () => await mkdtempDisposable(join(tmpdir(), 'morpheo-gpu-proof-'));
const outcomes = await prove(openFolder, (line) => process.stderr.write(`${line}\n`));
const table = new Table({
  head: ['what', 'outcome', 'seen'],
  colWidths: [44, 10, 60],
  wordWrap: true,
  style: { head: [], border: [] },
});
for (const { name, end, seen } of outcomes) table.push([name, end, seen]);
process.stdout.write(`${table.toString()}\n`);
const leftOut = outcomes.filter(({ end }) => end === 'left out');
if (leftOut.length > 0)
  process.stdout.write(`${leftOut.length} of ${outcomes.length} were left out: they are not shown.\n`);
if (outcomes.some(({ end }) => end === 'failed')) process.exitCode = 1;
