import { openDockerRuntime } from '../docker/index.ts';
import type { ContainerRuntime } from '../index.ts';
import { openProcessRuntime } from '../process/index.ts';

/**
 * A worker process of its own, for the tests of `recover` and `adopt`: it opens the runtime that its arguments name,
 * runs what they say, prints what that prints, and is killed.
 */
const [name = '', options = '{}', context = '{}', spec = '{}'] = process.argv.slice(2);
const nothing = () => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const docker = name === 'docker' ? await openDockerRuntime({ ...JSON.parse(options), log }) : undefined;
const runtime: ContainerRuntime = docker ?? (await openProcessRuntime({ ...JSON.parse(options), log }));
const { signal } = new AbortController();
const image = await runtime.prepare(JSON.parse(context), { signal, onOutput: async () => undefined });
const onOutput = async ({ bytes }: { bytes: Uint8Array }) => void process.stdout.write(bytes);
// Where it is to start containers ahead, it has one for this run.
await docker?.warmedUp({ ...JSON.parse(spec), image });
await runtime.run({ ...JSON.parse(spec), image }, { signal, onOutput });
