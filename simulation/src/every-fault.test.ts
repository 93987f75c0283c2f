import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import type { EveryFault } from './every-fault.ts';
import { liveOnce } from './live-once.ts';

const MAIN = fileURLToPath(new URL('every-fault-main.ts', import.meta.url));
/** A life with every kind of end, with attempts that are lost and broken, and an order that waits for another's model. */
const SEED = Number(process.env.SEED ?? 29);
const PARTS = 2;
const run = promisify(execFile);

test('Whichever write, message or call fails, is late or is not known to have happened, all orders end once', async (t) => {
  t.timeout(900_000);
  const parts = await Promise.all(
    Array.from({ length: PARTS }, async (_, part) => {
      const args = [MAIN, String(SEED), String(part), String(PARTS)];
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

test.serial('The life that faults are tried in has every kind of end', async (t) => {
  const { happened, broken } = await liveOnce(SEED);
  t.deepEqual(broken, []);
  const wanted = ['cancelled', 'claimed', 'done', 'error', 'failed', 'lost', 'publishing', 'ready'];
  t.deepEqual(
    wanted.filter((what) => !happened.includes(what as (typeof happened)[number])),
    [],
  );
});

test.serial('A single write that is forgotten is found out', async (t) => {
  const found: string[] = [];
  for (let n = 1; n <= 40; n += 1) {
    const { broken } = await liveOnce(SEED, { place: 'write', n, kind: 'forgotten' }).catch(
      (error: unknown) => ({
        broken: [String(error)],
      }),
    );
    found.push(...broken);
  }
  t.true(found.some((what) => what.includes('was accepted and is lost')));
});
