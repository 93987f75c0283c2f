import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from '../../files/remove-tree.ts';
import type {
  BuildContext,
  ContainerRuntime,
  LiveRun,
  Mount,
  OutputChunk,
  RunLimits,
  RunnerSpec,
  RunResult,
  RunSpec,
} from '../index.ts';

/** What a driver tells the conformance suite about itself. */
export interface RuntimeHarness {
  readonly name: ContainerRuntime['name'];
  /** Images to start from: one with node, one with a POSIX shell and its usual commands. */
  readonly bases: { readonly node: string; readonly sh: string };
  /** Whether what a run may only read is kept from being written. */
  readonly enforcesReadOnly: boolean;
  /** Whether what a run writes to a mount is there for the worker before the run has ended. */
  readonly sharesFolders: boolean;
  /** Whether `/dev/shm` of a runner is the folder of its caller. */
  readonly placesSharedMemory: boolean;
  /** Where fixtures make their folders; the system's folder for temporary files where absent. Asked for when one opens. */
  readonly parent?: () => Promise<string>;
  /** Opens the runtime of a worker that has `folder` as its own. */
  open(folder: string): Promise<ContainerRuntime>;
  /** What is left, anywhere on the machine, of the runs of the worker with this folder: a line each. */
  leftovers(folder: string): Promise<readonly string[]>;
  /**
   * Starts a run in a worker process of its own that has `folder`, waits until `file` is there, and kills that
   * process outright: what it ran is left behind.
   */
  abandon(folder: string, context: BuildContext, spec: Unbuilt, file: string): Promise<void>;
  /** The same for a runtime that adopts, which has to pass the tests of that: it waits until the run prints `word`. */
  abandonSpeaking?(
    folder: string,
    context: BuildContext,
    spec: Omit<RunSpec, 'image'>,
    word: string,
  ): Promise<void>;
}

/** A run, or a runner, whose image is still to be prepared. */
export type Unbuilt = Omit<RunSpec, 'image'> | Omit<RunnerSpec, 'image'>;

/** A program of a test: its language and its source. */
export type TestProgram = { readonly node: string } | { readonly sh: string };

/** What a test may say about a run; the rest has defaults. */
export interface TestRun {
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  readonly limits?: Partial<RunLimits>;
  readonly signal?: AbortSignal;
  readonly onOutput?: (chunk: OutputChunk) => Promise<void>;
  readonly beside?: (run: LiveRun) => Promise<void>;
}

/** Where a test runs programs: a runtime and a folder, both gone when it is disposed. */
export interface RuntimeFixture {
  readonly folder: string;
  readonly runtime: ContainerRuntime;
  /** A build context of these files. */
  context(files: Readonly<Record<string, string>>): Promise<BuildContext>;
  /** A build context whose entry point is the program. */
  program(program: TestProgram): Promise<BuildContext>;
  /** A fresh folder, mounted at a path of the container. */
  mount(container: string, readOnly?: boolean): Promise<Mount>;
  spec(run?: TestRun): Promise<Omit<RunSpec, 'image'>>;
  /** The same for a runner, with fresh folders to write to. */
  runner(run?: TestRun): Promise<Omit<RunnerSpec, 'image'>>;
  /** Prepares and runs a program: as a step of these words, or as the runner that is given. */
  run(
    program: TestProgram | BuildContext,
    run?: TestRun,
    runner?: Omit<RunnerSpec, 'image'>,
  ): Promise<RunResult & { stdout: string; stderr: string }>;
  leftovers(): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Far above what the programs of tests take on a busy machine. */
const LIMITS: RunLimits = {
  wallMs: 600_000,
  outputBytes: 50_000_000,
  diskBytes: 100_000_000,
  diskFiles: 10_000,
  memoryBytes: 2_000_000_000,
};

/** Opens a {@link RuntimeFixture} for one test. */
export async function openFixture(harness: RuntimeHarness): Promise<RuntimeFixture> {
  const folder = await mkdtemp(join((await harness.parent?.()) ?? tmpdir(), 'morpheo-runtime-'));
  const runtime = await harness.open(join(folder, 'worker'));
  const fresh = async (name: string) => {
    const path = join(folder, `${name}-${randomUUID()}`);
    await mkdir(path);
    return path;
  };
  const context = async (files: Readonly<Record<string, string>>) => {
    const path = await fresh('context');
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(path, name, '..'), { recursive: true });
      await writeFile(join(path, name), text);
    }
    const digest = createHash('sha256').update(JSON.stringify(files)).update(path).digest('hex');
    return { digest, folder: path };
  };
  const program = (program: TestProgram) => context(filesOf(program, harness));
  const spec = async ({ args = [], environment, mounts = [], limits = {} }: TestRun = {}) => ({
    args,
    environment,
    mounts,
    limits: { ...LIMITS, ...limits },
    scratch: await fresh('scratch'),
    labels: { order: randomUUID(), attempt: 1, step: 'train' as const },
  });
  const runner = async (run: TestRun = {}) => {
    const { labels: _, ...rest } = await spec(run);
    const [tmp, sharedMemory, home] = [await fresh('tmp'), await fresh('memory'), await fresh('home')];
    return { ...rest, labels: { runner: randomUUID() }, writable: { tmp, sharedMemory, home } };
  };
  return {
    folder,
    runtime,
    context,
    program,
    spec,
    runner,
    mount: async (container, readOnly = false) => ({ host: await fresh('mount'), container, readOnly }),
    leftovers: () => harness.leftovers(folder),
    run: async (what, run = {}, asRunner = undefined) => {
      const signal = run.signal ?? new AbortController().signal;
      const built = 'digest' in what ? what : await program(what);
      const image = await runtime.prepare(built, { signal, onOutput: async () => undefined });
      const texts = { stdout: '', stderr: '' };
      const keep = async ({ stream, bytes }: OutputChunk) => {
        texts[stream] += Buffer.from(bytes).toString('latin1');
      };
      const result = await runtime.run(
        { ...(asRunner ?? (await spec(run))), image },
        {
          signal,
          onOutput: run.onOutput ?? keep,
          ...(run.beside === undefined ? {} : { beside: run.beside }),
        },
      );
      return { ...result, ...texts };
    },
    [Symbol.asyncDispose]: async () => {
      await runtime[Symbol.asyncDispose]();
      await removeTree(folder);
    },
  };
}

function filesOf(program: TestProgram, { bases }: RuntimeHarness): Record<string, string> {
  const [base, file, source] =
    'node' in program ? [bases.node, 'main.mjs', program.node] : [bases.sh, 'main.sh', program.sh];
  const command = 'node' in program ? 'node' : 'sh';
  const entryPoint = JSON.stringify([command, `/app/${file}`, 'first']);
  return {
    Dockerfile: `FROM ${base}\nCOPY . /app\nWORKDIR /data\nENTRYPOINT ${entryPoint}\n`,
    [file]: source,
  };
}

/** Starts a worker process that runs something in a runtime of its own; what is returned kills it outright. */
export function startWorker(
  runtime: 'docker' | 'process',
  options: object,
  context: BuildContext,
  spec: Unbuilt,
  onPrinted: (chunk: Buffer) => void = () => undefined,
): () => Promise<void> {
  const script = join(import.meta.dirname, 'abandoned-worker.ts');
  const args = [script, runtime, ...[options, context, spec].map((value) => JSON.stringify(value))];
  const worker = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  worker.stdout.on('data', onPrinted);
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  return async () => {
    worker.kill('SIGKILL');
    await ended;
  };
}

/** Asks again and again until the answer is true; fails after two minutes. */
export async function eventually(what: string, ask: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`Not so after two minutes: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
