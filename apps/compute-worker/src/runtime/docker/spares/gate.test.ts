import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { gateFor } from './gate.ts';

const SOURCE = join(import.meta.dirname, '../../../../../../utils/gate');
const run = promisify(execFile);

/** The version of the compiler that the gates of the repository were built with. */
const COMPILER = '12.2.0';

for (const machine of ['x86_64', 'aarch64']) {
  test(`The gate for ${machine} is a small static program, which its source gives`, async (t) => {
    const gate = gateFor(machine) ?? Buffer.alloc(0);
    t.is(gate.toString('latin1', 0, 4), '\x7fELF');
    // A program that needs a loader names it in its header.
    t.false(gate.includes('ld-linux'));
    t.true(gate.byteLength < 4096, `${gate.byteLength} bytes`);
    const version = await run(`${machine}-linux-gnu-gcc`, ['-dumpfullversion']).catch(() => undefined);
    if (version?.stdout.trim() !== COMPILER) {
      t.log(`Not built anew: there is no ${machine}-linux-gnu-gcc ${COMPILER} here`);
      return;
    }
    const built = JSON.parse((await run(join(SOURCE, 'build'), ['gate', machine])).stdout) as Record<
      string,
      string
    >;
    t.is(built[machine], gate.toString('base64'));
  });
}

test('There is no gate for a machine that nobody built one for', async (t) => {
  t.is(gateFor('riscv64'), undefined);
  t.regex(await readFile(join(SOURCE, 'program.h'), 'utf8'), /no gate for this machine/);
});
