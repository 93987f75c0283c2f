import { type Dind, startDind, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { testContainerRuntime } from './conformance.ts';
import { dockerHarness } from './docker/testing/harness.ts';

let dind: Promise<Dind> | undefined;

async function daemon() {
  dind ??= startDind();
  const { socketPath, jobs } = await dind;
  return { host: `unix://${socketPath}`, place: jobs };
}

test.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

testContainerRuntime(dockerHarness(daemon), withParts(test, 'docker'));
