import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { placeRelay } from './relay.ts';

const SOURCE = join(import.meta.dirname, '../../../../../utils/gate');
const run = promisify(execFile);

/** The version of the compiler that the relays of the repository were built with. */
const COMPILER = '12.2.0';

for (const machine of ['x86_64', 'aarch64']) {
  test(`The relay for ${machine} is a small static program, which its source gives`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'morpheo-relay-'));
    t.teardown(() => rm(folder, { recursive: true }));
    await placeRelay(folder, machine);
    const relay = await readFile(join(folder, 'relay'));
    t.is(relay.toString('latin1', 0, 4), '\x7fELF');
    // A program that needs a loader names it in its header.
    t.false(relay.includes('ld-linux'));
    t.true(relay.byteLength < 4096, `${relay.byteLength} bytes`);
    const version = await run(`${machine}-linux-gnu-gcc`, ['-dumpfullversion']).catch(() => undefined);
    if (version?.stdout.trim() !== COMPILER) {
      t.log(`Not built anew: there is no ${machine}-linux-gnu-gcc ${COMPILER} here`);
      return;
    }
    const built = JSON.parse((await run(join(SOURCE, 'build'), ['relay', machine])).stdout) as Record<
      string,
      string
    >;
    t.is(built[machine], relay.toString('base64'));
  });
}

test('A machine that nobody built a relay for has no runners of Shepherd, and is told so', async (t) => {
  await t.throwsAsync(placeRelay('/', 'riscv64'), { code: 'unavailable', message: /x86_64.*riscv64/ });
});
