import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import { memoryLog } from '@morpheo/service/log';
import ava from 'ava';
import { testContainers } from '../../conformance/index.ts';
import { dockerHarness, SOME_SPARES } from '../testing/harness.ts';

/** The contract of runs, in containers that were started ahead of them. */
let dind: Promise<SharedDind> | undefined;
const log = memoryLog();

async function daemon() {
  dind ??= openSharedDind();
  const { socketPath, jobs } = await dind;
  return { host: `unix://${socketPath}`, shared: jobs };
}

const test = withParts(ava, 'docker');

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

testContainers(dockerHarness(daemon, { spares: SOME_SPARES, log }), test);

test.serial('Of these runs most had a container that was started ahead', (t) => {
  const said = (text: string) => log.entries.filter(({ message }) => message === text).length;
  t.true(said('A run has a container that was started ahead') > 30);
});
