import { lstat, readFile } from 'node:fs/promises';
import { InputError } from './digits-file.js';

const BYTES_PER_PREDICTION = 2;
const ROOM_FOR_A_CLEAR_MESSAGE = 1 << 20;

/**
 * Reads a prediction file that an algorithm wrote: exactly `count` lines, each an integer from 0
 * to 9. Throws InputError that says what is wrong, in which file and on which line.
 * @param {string} path
 * @param {number} count the number of digits in the data file
 * @returns {Promise<number[]>}
 */
export async function readPredictions(path, count) {
  await checkFile(path, count);
  const lines = (await readFile(path, 'utf8')).split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length !== count) {
    throw new InputError(`${path} holds ${lines.length} predictions for ${count} digits`);
  }
  return lines.map((line, index) => {
    if (/^[0-9]$/.test(line)) return Number(line);
    const seen = JSON.stringify(line.slice(0, 20));
    throw new InputError(`${path} line ${index + 1}: ${seen} is not an integer from 0 to 9`);
  });
}

// The file comes from foreign code: no link is followed, and no size is taken on trust.
async function checkFile(path, count) {
  const stats = await lstat(path).catch((cause) => {
    throw new InputError(`no predictions: cannot read ${path}: ${cause.code}`, { cause });
  });
  if (!stats.isFile()) throw new InputError(`${path} is not a regular file`);
  if (stats.size > count * BYTES_PER_PREDICTION + ROOM_FOR_A_CLEAR_MESSAGE) {
    throw new InputError(`${path} has ${stats.size} bytes, far too many for ${count} predictions`);
  }
}
