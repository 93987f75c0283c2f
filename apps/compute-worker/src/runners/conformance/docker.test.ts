import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { DEFAULT_ADDRESS, readAddress } from '../../runtime/docker/client/address.ts';
import { Daemon } from '../../runtime/docker/client/daemon.ts';
import { imageName } from '../../runtime/docker/labels.ts';
import { dockerHarness } from '../../runtime/docker/testing/harness.ts';
import { testRunnerContract } from './contract.ts';
import type { ContractHarness } from './contract-fixture.ts';
import { testRunnerIsolation } from './isolation.ts';

/** On the machine's own daemon, of which nothing but the images of these tests is changed, and those are removed. */
const host = process.env.DOCKER_HOST ?? DEFAULT_ADDRESS;
const ENSURE = join(import.meta.dirname, '../../../../../utils/base-images/ensure');
let bases: Promise<unknown> | undefined;

const { open } = dockerHarness(async () => ({ host, shared: tmpdir() }));
const harness: ContractHarness = {
  name: 'docker',
  isolates: true,
  open: async (folder) => {
    bases ??= promisify(execFile)(ENSURE, ['node:24-slim', 'python:3.11-slim']);
    await bases;
    return await open(folder);
  },
  forget: async (digest) => {
    const address = readAddress(host, false);
    await new Daemon({ address, certificates: undefined, callMs: 60_000 }).removeImage(imageName(digest));
  },
};

const test = withParts(ava, 'docker');
testRunnerContract(harness, test);
testRunnerIsolation(harness, test);
