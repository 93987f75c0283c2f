import test from 'ava';
import { isDamage } from './errors.ts';

// Extended result codes of SQLite (sqlite.org/rescode.html).
const [READ, FSYNC, DIR_FSYNC, CORRUPT, FULL] = [266, 1034, 1290, 11, 13];
const failing = (errcode: number | undefined) => Object.assign(new Error('of the engine'), { errcode });

test('A sync of the engine that fails is damage, as is a file that does not fit together; what may pass is not', (t) => {
  for (const code of [FSYNC, DIR_FSYNC, CORRUPT]) t.true(isDamage(failing(code)), `${code}`);
  for (const code of [READ, FULL, undefined]) t.false(isDamage(failing(code)), `${code}`);
});
