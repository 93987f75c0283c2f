import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
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

test('Every promise holds in a thousand worlds full of faults', async (t) => {
  t.timeout(900_000);
  const halves = await Promise.all([account(1, 500), account(501, 500)]);
  for (const half of halves) t.log(JSON.stringify(half));
  t.deepEqual(
    halves.flatMap(({ broken }) => broken),
    [],
  );
  t.true(halves.every(({ staleCalls, faults }) => staleCalls > 0 && (faults.kill ?? 0) > 100));
});

test.serial('The same seed lives through the same world again', async (t) => {
  const [once, again] = [await simulate(7), await simulate(7)];
  t.true(once.trace.length > 10);
  t.deepEqual(again, once);
});

test.serial('A database that forgets what it has committed is found out', async (t) => {
  const outcomes = [];
  for (let seed = 1; seed <= 20; seed += 1) {
    outcomes.push(
      await simulate(seed, { forgottenWrites: 0.2 }).catch((error: unknown) => ({ broken: [String(error)] })),
    );
  }
  t.true(outcomes.some(({ broken }) => broken.some((what) => what.includes('was accepted and is lost'))));
});
