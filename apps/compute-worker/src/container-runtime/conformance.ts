import ava, { type TestFn } from 'ava';
import { testAdoption } from './conformance/adoption.ts';
import type { RuntimeHarness } from './conformance/bench.ts';
import { testImages } from './conformance/images.ts';
import { testLimits } from './conformance/limits.ts';
import { testRuns } from './conformance/runs.ts';

export type { RuntimeHarness } from './conformance/bench.ts';

/**
 * The contract of `ContainerRuntime` as tests, one for each of its sentences. Every driver's test calls this; `test`
 * is ava's own where absent, or one that skips.
 */
export function testContainerRuntime(harness: RuntimeHarness, test: TestFn = ava): void {
  testImages(harness, test);
  testRuns(harness, test);
  testLimits(harness, test);
  testAdoption(harness, test);
}
