import { architectureOf, PlatformError } from '@morpheo/common';
import { memoryLog, silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openDummyRuntime } from '../runtime/dummy/index.ts';
import { openTestWorker } from '../testing/test-worker.ts';
import { findArchitecture } from './architecture.ts';

for (const [machine, name] of [
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armv7l', 'arm'],
  ['riscv64', 'riscv64'],
] as const) {
  test(`A machine that calls itself ${machine} is one of ${name}`, (t) =>
    t.is(architectureOf(machine), name));
}

test('A machine of which nobody has heard has no architecture, and a line says so', async (t) => {
  const log = memoryLog();
  await using found = await findArchitecture({ runtime: { machine: async () => 'pdp11' }, log });
  t.is(found.name, undefined);
  t.is(log.entries.length, 1);
});

test('A runtime that cannot tell has no architecture', async (t) => {
  await using found = await findArchitecture({ runtime: {}, log: silentLog });
  t.is(found.name, undefined);
});

test('A worker says what it offers, its architecture once the runtime tells it', async (t) => {
  const daemon: { architecture?: string } = {};
  const machine = async () => {
    if (daemon.architecture !== undefined) return daemon.architecture;
    throw new PlatformError('unavailable', 'The daemon starts.');
  };
  const openRuntime = async () => Object.assign(openDummyRuntime(), { machine });
  await using setup = await openTestWorker({ openRuntime, labels: { zone: 'a' } });
  await eventually(t, (inner) => inner.is(setup.compute.registrations.length, 1));
  t.like(setup.compute.registrations[0], { arch: undefined, labels: { zone: 'a' } });
  daemon.architecture = 'aarch64';
  await eventually(t, (inner) => inner.is(setup.compute.registrations.length, 2));
  t.like(setup.compute.registrations[1], { arch: 'arm64', labels: { zone: 'a' } });
});
