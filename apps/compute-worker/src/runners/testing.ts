import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { GpuAllocator } from '../gpus/allocator.ts';
import type { ContainerRuntime, OutputChunk, RunLimits } from '../runtime/index.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import type { CallResult, RunnerCall, RunnerPlan, Runners } from './index.ts';
import { openRunners } from './pool.ts';
import { DEFAULT_RUNNER_LIMITS, type RunnerLimits, type RunnersOptions } from './settings.ts';

/**
 * A runner for tests: it does what a call's input says, which is a program of JavaScript that knows its `inputs` and
 * `outputs`, what it `keeps`, and how to `ask` the worker. Where that says nothing else, it answers that all is well.
 */
export const OBEDIENT = `
import { Agent, request } from 'node:http';
import * as fs from 'node:fs';
import * as net from 'node:net';
const agent = new Agent({ keepAlive: true });
const socketPath = process.env.MORPHEO_RUNNER;
const ask = (method, path, body, headers = {}) => new Promise((resolve, reject) => {
  const asking = request({ agent, socketPath, method, path, headers }, (response) => {
    let text = '';
    response.on('data', (chunk) => { text += chunk; });
    response.on('end', () => resolve({ status: response.statusCode, text }));
  });
  asking.on('error', reject);
  asking.end(typeof body === 'object' ? JSON.stringify(body) : body);
});
const keeps = {};
const once = (path) => new Promise((resolve) => {
  const look = () => (fs.existsSync(path) ? resolve() : setTimeout(look, 10));
  look();
});
const forever = () => new Promise(() => setInterval(() => undefined, 1_000_000));
const AsyncFunction = (async () => {}).constructor;
async function answer({ id, inputs, outputs }) {
  const names = { id, inputs, outputs, keeps, ask, fs, net, once, forever, socketPath };
  const program = fs.readFileSync(inputs + '/program', 'utf8');
  const said = await new AsyncFunction(...Object.keys(names), program)(...Object.values(names));
  if (said === 'said') return;
  await ask('POST', '/done', said ?? { id, ok: true });
}
for (;;) {
  const { status, text } = await ask('GET', '/next?max=' + (process.env.MAX ?? 1));
  if (status === 204) continue;
  const calls = JSON.parse(text).calls.map(answer);
  if (process.env.PIPELINED === undefined) await Promise.all(calls);
}
`;

/** What a test says of a plan. */
export interface TestPlan {
  readonly program?: string;
  readonly maxBatch?: number;
  readonly key?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly limits?: Partial<RunLimits>;
  readonly gpus?: number;
  readonly prepare?: () => Promise<void>;
}

/** A call of a test: the program that it is to do, and what else is not as it usually is. */
export type TestCall = Partial<RunnerCall<string>> & { readonly plan: RunnerPlan };

/** Runners on the process runtime, and a folder for what tests need; disposing ends both. */
export interface RunnersFixture extends AsyncDisposable {
  readonly folder: string;
  readonly runtime: ContainerRuntime;
  readonly runners: Runners;
  readonly gpus: GpuAllocator;
  plan(options?: TestPlan): Promise<RunnerPlan>;
  /** Has a program done by a runner; its answer is what it wrote to `outputs/answer`, empty where that is nothing. */
  call(program: string, call: TestCall): Promise<CallResult<string>>;
}

/** Far above what the programs of tests take on a busy machine. */
const LIMITS: RunLimits = {
  wallMs: 600_000,
  outputBytes: 50_000_000,
  diskBytes: 100_000_000,
  diskFiles: 10_000,
  memoryBytes: 2_000_000_000,
};

/** Opens a {@link RunnersFixture}. */
export async function openRunnersFixture(
  limits: Partial<RunnerLimits> = {},
  options: Partial<RunnersOptions> = {},
): Promise<RunnersFixture> {
  const stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder());
  const runtime = stack.use(await openProcessRuntime({ folder: join(folder, 'worker'), log: silentLog }));
  const gpus = options.gpus ?? new GpuAllocator([]);
  const runners = stack.use(
    await openRunners({
      ...{ runtime, gpus, folder: join(folder, 'runners'), log: silentLog },
      limits: { ...DEFAULT_RUNNER_LIMITS, ...limits },
      ...options,
    }),
  );
  const plan = async (given: TestPlan = {}): Promise<RunnerPlan> => {
    const { program = OBEDIENT, maxBatch = 1, environment, gpus: count = 0 } = given;
    const key = given.key ?? randomUUID();
    const context = { digest: key, folder: join(folder, `context-${randomUUID()}`) };
    await mkdir(context.folder);
    const label = `LABEL morpheo.runner=1 morpheo.max_batch=${maxBatch}`;
    await writeFile(
      join(context.folder, 'Dockerfile'),
      `FROM node:24-slim\n${label}\nCOPY . /app\nENTRYPOINT ["node", "/app/main.mjs"]\n`,
    );
    await writeFile(join(context.folder, 'main.mjs'), program);
    return {
      key,
      shown: { owner: 'ann', image: 'obedient' },
      protocol: 'runner',
      limits: { ...LIMITS, ...given.limits },
      gpus: count,
      prepare: async (_folder, signal) => {
        await given.prepare?.();
        const image = await runtime.prepare(context, { signal, onOutput: async () => undefined });
        return { image, environment, mounts: [], [Symbol.dispose]: () => undefined };
      },
    };
  };
  return {
    ...{ folder, runtime, runners, gpus, plan },
    call: async (program, call) =>
      await runners.call({
        fill: async (inputs) => await writeFile(join(inputs, 'program'), program),
        take: async (outputs) => await readFile(join(outputs, 'answer'), 'utf8').catch(() => ''),
        signal: new AbortController().signal,
        ...call,
      }),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
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
