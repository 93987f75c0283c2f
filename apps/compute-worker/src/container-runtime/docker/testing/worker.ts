import { openDockerRuntime } from '../../docker.ts';

/** A worker of its own for the test of `recover`: runs what its arguments say, and waits to be killed. */
const [options = '{}', context = '{}', spec = '{}'] = process.argv.slice(2);
const nothing = () => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const runtime = await openDockerRuntime({ ...JSON.parse(options), log });
const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };
const image = await runtime.prepare(JSON.parse(context), quiet);
await runtime.run({ ...JSON.parse(spec), image }, quiet);
