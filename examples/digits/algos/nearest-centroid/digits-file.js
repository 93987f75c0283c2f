// The files of the digits example. Every build context carries this file, word for word the same,
// because an archive holds one context and nothing beside it.

import { mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Pixels of one digit: 28 rows of 28, from the top left, 0 is paper and 255 is ink. */
export const PIXELS = 784;

/** An error in what was handed in. Its message says all there is to say: no stack is printed. */
export class InputError extends Error {}

/**
 * One digit of a data set.
 * @typedef {{ label: number | undefined, pixels: Uint8Array }} Digit
 */

/**
 * The names of the data files of a folder, sorted. Folders (`pred`) and links are no data files.
 * @param {string} folder
 * @returns {Promise<string[]>}
 */
export async function listDataFiles(folder) {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw new InputError(`cannot list ${folder}: ${cause.code}`, { cause });
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}

/**
 * The digits of a data file, one at a time, in the order of its lines.
 * Throws InputError that names the file and the line where a line is not a digit.
 * @param {string} path
 * @returns {AsyncGenerator<Digit>}
 */
export async function* readDigits(path) {
  const file = await open(path);
  try {
    let number = 0;
    for await (const line of file.readLines()) {
      number += 1;
      yield parseDigit(line, `${path} line ${number}`);
    }
    if (number === 0) throw new InputError(`${path} holds no digits`);
  } finally {
    await file.close();
  }
}

/**
 * The line of a data file for one digit, with its line end. Without a label it has no such key.
 * @param {Digit} digit
 * @returns {string}
 */
export function digitLine({ label, pixels }) {
  return `${JSON.stringify({ label, pixels: Buffer.from(pixels).toString('base64') })}\n`;
}

/**
 * Writes a prediction file: one integer a line, line n for digit n. Makes its folder if need be.
 * @param {string} path
 * @param {number[]} predictions
 */
export async function writePredictions(path, predictions) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, predictions.map((prediction) => `${prediction}\n`).join(''));
}

function isDigitValue(value) {
  return Number.isInteger(value) && value >= 0 && value <= 9;
}

// Messages never quote the line: the targets of test data must not reach a log.
function parseDigit(line, where) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    throw new InputError(`${where} is not JSON`);
  }
  if (typeof value?.pixels !== 'string') throw new InputError(`${where} has no text "pixels"`);
  const pixels = Buffer.from(value.pixels, 'base64');
  if (pixels.length !== PIXELS) {
    throw new InputError(`${where}: "pixels" holds ${pixels.length} bytes, not ${PIXELS}`);
  }
  if (value.label !== undefined && !isDigitValue(value.label)) {
    throw new InputError(`${where}: "label" is not an integer from 0 to 9`);
  }
  return { label: value.label, pixels };
}
