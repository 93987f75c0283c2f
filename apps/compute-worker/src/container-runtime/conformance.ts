import type { RuntimeHarness } from './conformance/bench.ts';
import { testImages } from './conformance/images.ts';
import { testLimits } from './conformance/limits.ts';
import { testRuns } from './conformance/runs.ts';

export type { RuntimeHarness } from './conformance/bench.ts';

/** The contract of `ContainerRuntime` as tests, one for each of its sentences. Every driver's test calls this. */
export function testContainerRuntime(harness: RuntimeHarness): void {
  testImages(harness);
  testRuns(harness);
  testLimits(harness);
}
