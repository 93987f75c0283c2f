import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { digitLine, InputError, listDataFiles, readDigits } from './digits-file.js';

/**
 * Copies every data file of `<hidden>/test` to the same name in `<submission>/test` without its
 * labels: the only form of the test data that an algorithm gets to see.
 * @param {string} hidden folder with `test`
 * @param {string} submission folder that gets `test`
 * @param {(line: string) => void} say told one line a file
 */
export async function detarget(hidden, submission, say) {
  const names = await listDataFiles(join(hidden, 'test'));
  if (names.length === 0) throw new InputError(`${join(hidden, 'test')} holds no data file`);
  await mkdir(join(submission, 'test'), { recursive: true });
  for (const name of names) {
    const target = join(submission, 'test', name);
    let count = 0;
    await pipeline(async function* () {
      for await (const { pixels } of readDigits(join(hidden, 'test', name))) {
        count += 1;
        yield digitLine({ label: undefined, pixels });
      }
    }, createWriteStream(target));
    say(`detarget: ${name}: ${count} digits without their labels`);
  }
}
