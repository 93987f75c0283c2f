import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { testContainerRuntime } from '../conformance/index.ts';
import { dockerHarness } from './testing/harness.ts';

let dind: Promise<SharedDind> | undefined;

async function daemon() {
  dind ??= openSharedDind();
  const { socketPath, jobs } = await dind;
  return { host: `unix://${socketPath}`, shared: jobs };
}

test.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

testContainerRuntime(dockerHarness(daemon), withParts(test, 'docker'));
