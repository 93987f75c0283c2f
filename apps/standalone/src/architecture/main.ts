import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { countsOf, journeysOf } from './journeys.ts';
import { smallFiles } from './sizes.ts';
import { ROOT, readTree, sourcesOf } from './tree.ts';

/** Prints what can be counted of the tree: its files and lines by package, and the journeys of ARCHITECTURE.md. */
const print = (...columns: (string | number)[]): void => {
  process.stdout.write(`${columns.map((column) => String(column).padEnd(12)).join(' ')}\n`);
};

const sources = sourcesOf(await readTree());
print('files', 'lines', 'small files', 'package');
const packages = Map.groupBy(sources, ([path]) =>
  path
    .split('/')
    .slice(0, 2)
    .join('/')
    .replace(/\/src$/, ''),
);
for (const [name, files] of packages) {
  const lines = files.reduce((sum, [, text]) => sum + text.trimEnd().split('\n').length, 0);
  print(files.length, lines, smallFiles(new Map(files)).length, name);
}

print('');
print('files', 'jumps back', '', 'journey');
const page = await readFile(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
for (const journey of journeysOf(page)) {
  const { opened, jumps } = countsOf(journey);
  print(opened, jumps, '', journey.title);
}
