import { ownDaemon } from '../../runtime/docker/testing/own-daemon.ts';
import { testRunnerContract } from './contract.ts';
import type { ContractHarness } from './contract-fixture.ts';
import { testHostileRunners } from './hostile.ts';
import { testRunnerIsolation } from './isolation.ts';

const { test, dind, harness: onDind } = ownDaemon();
const { parent, open } = onDind();
let python: Promise<void> | undefined;

const harness: ContractHarness = {
  name: 'dind',
  isolates: true,
  parent: async () => (await parent?.()) ?? '/tmp',
  open: async (folder) => {
    python ??= (await dind()).loadImages(['python:3.11-slim']);
    await python;
    return await open(folder);
  },
};

testRunnerContract(harness, test);
testRunnerIsolation(harness, test);
testHostileRunners(harness, test);
