import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { openProcessRuntime } from '../../runtime/process/index.ts';
import { testRunnerContract } from './contract.ts';
import type { ContractHarness } from './contract-fixture.ts';
import { testHostileRunners } from './hostile.ts';
import { testRunnerIsolation } from './isolation.ts';

const harness: ContractHarness = {
  name: 'process',
  isolates: false,
  open: async (folder) => await openProcessRuntime({ folder, log: silentLog }),
};

testRunnerContract(harness, test);
testRunnerIsolation(harness, test);
testHostileRunners(harness, test);
