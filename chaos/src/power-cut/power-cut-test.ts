import test from 'ava';
import { whyNoLoopDisk } from './loop-disk.ts';

const reason = await whyNoLoopDisk();
if (reason !== undefined) {
  if (process.env.CI || process.env.MORPHEO_REQUIRE_REAL_PARTS)
    throw new Error(`No power can be cut here: ${reason}`);
  process.stderr.write(`SKIPPED the power cuts: ${reason}\n`);
}

/** ava's `test.serial` where a disk can be made on this machine, else a skip that is said; never a skip in CI. */
export const powerCutTest = reason === undefined ? test.serial : test.skip;
