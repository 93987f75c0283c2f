import { openDockerRuntime } from '../../docker.ts';

/** A worker of its own for the tests of `recover`: runs what its arguments say, prints what that prints, and is killed. */
const [options = '{}', context = '{}', spec = '{}'] = process.argv.slice(2);
const nothing = () => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const runtime = await openDockerRuntime({ ...JSON.parse(options), log });
const { signal } = new AbortController();
const image = await runtime.prepare(JSON.parse(context), { signal, onOutput: async () => undefined });
const onOutput = async ({ bytes }: { bytes: Uint8Array }) => void process.stdout.write(bytes);
await runtime.run({ ...JSON.parse(spec), image }, { signal, onOutput });
