import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sampleSize } from '@morpheo/real-parts';
import test from 'ava';
import type { Account } from './report.ts';
import { simulate } from './simulate.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const run = promisify(execFile);

/** Two processes side by side, so that both cores have work. */
async function account(from: number, count: number): Promise<Account> {
  const args = [MAIN, '--from', String(from), '--count', String(count), '--json'];
  // A broken promise is told by the exit code too; what is wanted here is the account.
  const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 26 }).catch((error: unknown) => {
    if (error instanceof Error && 'stdout' in error && error.stdout !== '')
      return { stdout: String(error.stdout) };
    throw error;
  });
  return JSON.parse(stdout) as Account;
}

const WORLDS = sampleSize('WORLDS', { small: 75, full: 1000 });

test(`Every promise holds in ${WORLDS} worlds full of faults`, async (t) => {
  t.timeout(900_000);
  const half = Math.ceil(WORLDS / 2);
  const halves = await Promise.all([account(1, half), account(half + 1, half)]);
  for (const half of halves) t.log(JSON.stringify(half));
  t.deepEqual(
    halves.flatMap(({ broken }) => broken),
    [],
  );
  t.true(halves.every(({ staleCalls, faults }) => staleCalls > 0 && (faults.kill ?? 0) > WORLDS / 10));
});

test.serial('The same seed lives through the same world again', async (t) => {
  const [once, again] = [await simulate(7), await simulate(7)];
  t.true(once.trace.length > 10);
  t.deepEqual(again, once);
});

test.serial('A database that forgets what it has committed is found out', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const { broken } = await simulate(seed, { forgottenWrites: 0.2 }).catch((error: unknown) => ({
      broken: [String(error)],
    }));
    if (broken.some((sentence) => sentence.includes('was accepted and is lost'))) return t.pass();
  }
  t.fail('of 20 worlds that forget, none was found out');
});
