import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { memoryLog } from '@morpheo/service/log';
import { eventually, type RuntimeHarness, startWorker } from '../../conformance/runtime-fixture.ts';
import type { AnyRun, RunOptions } from '../../index.ts';
import { readAddress } from '../client/address.ts';
import { Daemon } from '../client/daemon.ts';
import { type DockerRuntimeOptions, openDockerRuntime, type TidyRuntime } from '../index.ts';
import { LABELS } from '../labels.ts';

/** The daemon that a test's runtimes use. */
export interface TestDaemon {
  /** As `DOCKER_HOST` has it. */
  readonly host: string;
  /** A folder that the daemon has at the same path; where absent it sees none of the worker's. */
  readonly shared?: string;
}

/** Options that a test may say about the runtime. */
export type RuntimeChoice = Partial<Omit<DockerRuntimeOptions, 'worker' | 'folder'>>;

/** What a test says of the containers that are started ahead. */
export const SOME_SPARES = { most: 2, perImage: 1, memoryBytes: 2 ** 30, idleMs: 600_000 };

/** A runtime that starts a container ahead for each run that can have one. */
export function warmed(runtime: TidyRuntime): TidyRuntime {
  const run = runtime.run.bind(runtime);
  return Object.assign(runtime, {
    run: async (spec: AnyRun, options: RunOptions) => {
      if (spec.writable === undefined) await runtime.warmedUp(spec).catch(() => undefined);
      return await run(spec, options);
    },
  });
}

/** The worker that a folder of a test belongs to. */
export function workerOf(folder: string): string {
  return createHash('sha256').update(folder).digest('hex').slice(0, 32);
}

/** Everything that a runtime of a test is opened with. */
export function optionsFor(host: string, folder: string, choice: RuntimeChoice = {}): DockerRuntimeOptions {
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return { worker: workerOf(folder), folder, host, user, log: memoryLog(), ...choice };
}

/** A harness for the conformance suite, on a daemon that is started with the first test. */
export function dockerHarness(daemon: () => Promise<TestDaemon>, choice: RuntimeChoice = {}): RuntimeHarness {
  const settings = async (folder: string) => {
    const { log: _, ...options } = optionsFor((await daemon()).host, folder, choice);
    return options;
  };
  const opened = new Map<string, TidyRuntime>();
  return {
    name: 'docker',
    bases: { node: 'node:24-slim', sh: 'busybox:1.36' },
    enforcesReadOnly: true,
    sharesFolders: choice.data !== 'archive',
    placesSharedMemory: true,
    parent: async () => (await daemon()).shared ?? '/tmp',
    open: async (folder) => {
      const runtime = warmed(await openDockerRuntime(optionsFor((await daemon()).host, folder, choice)));
      opened.set(folder, runtime);
      return runtime;
    },
    leftovers: async (folder) => {
      const own = join(folder, 'worker');
      await opened.get(own)?.tidied();
      return await leftovers((await daemon()).host, workerOf(own));
    },
    abandon: async (folder, context, spec, file) => {
      const killed = startWorker('docker', await settings(folder), context, spec);
      await eventually('the run has started', () => existsSync(file));
      await killed();
    },
    abandonSpeaking: async (folder, context, spec, word) => {
      let printed = '';
      const add = (chunk: Buffer) => {
        printed += chunk.toString('latin1');
      };
      const killed = startWorker('docker', await settings(folder), context, spec, add);
      await eventually(`the run prints ${word}`, () => printed.includes(word));
      await killed();
    },
  };
}

/** Containers and volumes of a worker that are still in a daemon, a line each. */
export async function leftovers(host: string, worker: string): Promise<string[]> {
  const daemon = new Daemon({ address: readAddress(host, false), certificates: undefined, callMs: 60_000 });
  const filters = { label: [`${LABELS.worker}=${worker}`] };
  const containers = await daemon.ask('list', (docker) => docker.listContainers({ all: true, filters }));
  const volumes = await daemon.ask('list', (docker) => docker.listVolumes({ filters }));
  return [
    ...containers.map(({ Names, State }) => `${Names.join()} ${State}`),
    ...(volumes.Volumes ?? []).map(({ Name }) => `volume ${Name}`),
  ];
}
