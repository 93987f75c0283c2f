import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sampleSize } from '@morpheo/real-parts';
import test from 'ava';
import type { EveryFault } from './every-fault.ts';
import { liveOnce } from './live-once.ts';

const MAIN = fileURLToPath(new URL('every-fault-main.ts', import.meta.url));
/** The life that faults are tried in is the first from here on that has all of {@link WANTED}. */
const FIRST_SEED = Number(process.env.SEED ?? 27);
const SEEDS_TRIED = 100;
/** Every kind of end, attempts that are lost and broken, and an order that waits for another's model. */
const WANTED = ['cancelled', 'claimed', 'done', 'error', 'failed', 'lost', 'publishing', 'ready'];
/** All faults would take a quarter of an hour: the usual run tries one share of so many, another each time. */
const SHARES = sampleSize('SHARES', { small: 8, full: 1 });
const SHARE = Number(process.env.SHARE ?? Math.floor(Math.random() * SHARES));
const PROCESSES = 2;
const run = promisify(execFile);

async function findSeed(): Promise<number> {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS_TRIED; seed += 1) {
    const { happened, broken } = await liveOnce(seed);
    if (broken.length > 0) throw new Error(`With seed ${seed} and no fault: ${broken.join('; ')}`);
    if (WANTED.every((what) => happened.includes(what))) return seed;
  }
  throw new Error(`No life from seed ${FIRST_SEED} on has all of ${WANTED.join(', ')}.`);
}

let seed = FIRST_SEED;
test.before(async (t) => {
  t.timeout(600_000);
  seed = await findSeed();
  t.log(`SEED=${seed} SHARE=${SHARE}`);
});

test('Whichever write, message or call fails, is late or is not known to have happened, and whenever storage goes away, all orders end once', async (t) => {
  t.timeout(900_000);
  const parts = await Promise.all(
    Array.from({ length: PROCESSES }, async (_, n) => {
      const args = [MAIN, String(seed), String(SHARE * PROCESSES + n), String(SHARES * PROCESSES)];
      return JSON.parse((await run(process.execPath, args)).stdout) as EveryFault;
    }),
  );
  for (const { tried, slowest } of parts) t.log(JSON.stringify({ tried, slowest }));
  t.deepEqual(
    parts.flatMap(({ broken }) => broken),
    [],
  );
  t.true(parts.every(({ tried }) => Object.values(tried).every((count) => count > 0)));
});

test.serial('A single write that is forgotten is found out', async (t) => {
  for (let n = 1; n <= 40; n += 1) {
    const { broken } = await liveOnce(seed, { place: 'write', n, kind: 'forgotten' }).catch(
      (error: unknown) => ({
        broken: [String(error)],
      }),
    );
    if (broken.some((sentence) => sentence.includes('was accepted and is lost'))) return t.pass();
  }
  t.fail('of 40 writes that are forgotten, none was found out');
});
