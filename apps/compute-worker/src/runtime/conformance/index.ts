import ava, { type TestFn } from 'ava';
import { testAdoption } from './adoption.ts';
import { testBeside } from './beside.ts';
import { testImages } from './images.ts';
import { testLimits } from './limits.ts';
import { testRunners } from './runners.ts';
import { testRuns } from './runs.ts';
import type { RuntimeHarness } from './runtime-fixture.ts';

export type { RuntimeHarness } from './runtime-fixture.ts';

/**
 * The contract of `ContainerRuntime` as tests; the titles name the sentences of `index.ts` that they show. Sentences that
 * are shown by one driver's own tests are R17 (Docker's outages), R29 and R30 (GPUs). Every driver's test calls this;
 * `test` is ava's own where absent, or one that skips.
 */
export function testContainerRuntime(harness: RuntimeHarness, test: TestFn = ava): void {
  testImages(harness, test);
  testContainers(harness, test);
}

/** The part of {@link testContainerRuntime} on containers: for another way to the files of a driver whose images are shown. */
export function testContainers(harness: RuntimeHarness, test: TestFn = ava): void {
  testRuns(harness, test);
  testBeside(harness, test);
  testLimits(harness, test);
  testAdoption(harness, test);
  testRunners(harness, test);
}
