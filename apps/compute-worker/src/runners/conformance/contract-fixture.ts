import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@morpheo/service/log';
import { removeTree } from '../../files/remove-tree.ts';
import { GpuAllocator } from '../../gpus/allocator.ts';
import type { ContainerRuntime, Mount, OutputChunk, RunLimits } from '../../runtime/index.ts';
import type { CallResult, RunnerCall, RunnerPlan, Runners } from '../index.ts';
import { openRunners } from '../pool.ts';
import { DEFAULT_RUNNER_LIMITS, type RunnerLimits } from '../settings.ts';
import { OBEDIENT } from '../testing.ts';

/** What a runtime tells the suite of the contract of runners about itself. */
export interface ContractHarness {
  readonly name: string;
  /** Whether a program is kept from what is not its own. */
  readonly isolates: boolean;
  /** Where the folders of tests are made; the system's folder for temporary files where absent. Asked for when one opens. */
  readonly parent?: () => Promise<string>;
  /** Opens the runtime of a worker that has `folder` as its own. */
  open(folder: string): Promise<ContainerRuntime>;
  /** Removes what was built of a context with this digest. */
  forget?(digest: string): Promise<void>;
}

/** What a test says of a runner. */
export interface TestRunner {
  /** Its program, for node; one that does what a call's input says (`OBEDIENT`) where absent. */
  readonly program?: string;
  /** A build context, in place of a program. */
  readonly context?: string;
  readonly maxBatch?: number;
  readonly owner?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  readonly limits?: Partial<RunLimits>;
}

/** What a test says of a call. */
export type TestCall = Pick<RunnerCall<string>, 'onOutput'> & { readonly signal?: AbortSignal };

/** Warm runners on a runtime; disposing ends both. */
export interface Contract extends AsyncDisposable {
  readonly folder: string;
  readonly runners: Runners;
  /** Runners of one plan are one another's like; each plan has a key of its own. */
  plan(runner?: TestRunner): Promise<RunnerPlan>;
  /** Other runners on the same runtime, with bounds of their own; they end with this. */
  others(limits: Partial<RunnerLimits>): Promise<Runners>;
  /** Has a program of JavaScript done by an obedient runner: see `OBEDIENT`. Resolves with its file `answer`. */
  obey(plan: RunnerPlan, program: string, call?: TestCall): Promise<CallResult<string>>;
}

/** Far above what the programs of tests take on a busy machine. */
const LIMITS: RunLimits = {
  wallMs: 600_000,
  outputBytes: 50_000_000,
  diskBytes: 100_000_000,
  diskFiles: 10_000,
  memoryBytes: 1_000_000_000,
};

/** Opens a {@link Contract}. */
export async function openContract(harness: ContractHarness): Promise<Contract> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join((await harness.parent?.()) ?? tmpdir(), 'morpheo-runners-'));
  stack.defer(async () => await removeTree(folder));
  const built: string[] = [];
  stack.defer(async () => {
    for (const digest of built) await harness.forget?.(digest);
  });
  const runtime = stack.use(await harness.open(join(folder, 'worker')));
  const open = async (name: string, limits: Partial<RunnerLimits>) =>
    await openRunners({
      ...{ runtime, gpus: new GpuAllocator([]), folder: join(folder, name), log: silentLog },
      limits: { ...DEFAULT_RUNNER_LIMITS, ...limits },
    });
  const runners = stack.use(await open('runners', {}));
  const plan = async (runner: TestRunner = {}): Promise<RunnerPlan> => {
    const key = createHash('sha256').update(randomUUID()).digest('hex');
    const context = runner.context ?? (await contextOf(join(folder, key), runner));
    built.push(key);
    return {
      key,
      shown: { owner: runner.owner ?? 'ann', image: 'a test' },
      protocol: 'runner',
      limits: { ...LIMITS, ...runner.limits },
      gpus: 0,
      prepare: async (_folder, signal) => {
        const options = { signal, onOutput: async () => undefined };
        const image = await runtime.prepare({ digest: key, folder: context }, options);
        const { environment, mounts = [] } = runner;
        return { image, args: [], environment, mounts, [Symbol.dispose]: () => image.release?.() };
      },
    };
  };
  const owned = stack.use(new AsyncDisposableStack());
  const opened = stack.move();
  return {
    folder,
    runners,
    plan,
    others: async (limits) => owned.use(await open(randomUUID(), limits)),
    obey: async (of, program, { onOutput, signal = new AbortController().signal } = {}) =>
      await runners.call({
        plan: of,
        fill: async (inputs) => await writeFile(join(inputs, 'program'), program),
        take: async (outputs) => await readFile(join(outputs, 'answer'), 'utf8').catch(() => ''),
        onOutput,
        signal,
      }),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function contextOf(folder: string, { program = OBEDIENT, maxBatch = 1 }: TestRunner): Promise<string> {
  await mkdir(folder);
  const label = `LABEL morpheo.runner=1 morpheo.max_batch=${maxBatch}`;
  const lines = ['FROM node:24-slim', label, 'COPY . /app', 'ENTRYPOINT ["node", "/app/main.mjs"]'];
  await writeFile(join(folder, 'Dockerfile'), lines.join('\n'));
  await writeFile(join(folder, 'main.mjs'), program);
  return folder;
}

/** Gathers what a call prints. */
export function gathered(): { text: string; onOutput: (chunk: OutputChunk) => Promise<void> } {
  const all = {
    text: '',
    onOutput: async ({ bytes }: OutputChunk) => {
      all.text += Buffer.from(bytes).toString();
    },
  };
  return all;
}
