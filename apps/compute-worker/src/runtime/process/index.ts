import { createHash, randomBytes } from 'node:crypto';
import { constants, mkdirSync } from 'node:fs';
import { access, mkdir, realpath } from 'node:fs/promises';
import { machine } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { readDockerfileText } from '../dockerfile/text.ts';
import {
  contextOf,
  demandRunnable,
  mountsOf,
  RUN_ENVIRONMENT,
  referenceTo,
  WorkUnderWay,
} from '../driver.ts';
import { withReason } from '../entry-file.ts';
import type {
  AnyRun,
  BuildContext,
  ContainerRuntime,
  FindGpusOptions,
  Gpu,
  PreparedImage,
  PrepareOptions,
  RunOptions,
  RunResult,
} from '../index.ts';
import { Family, MARKER } from './family.ts';
import { findHostGpus, gpuVariables } from './gpus.ts';
import { Programs } from './programs.ts';
import { type Recipe, readRecipe } from './recipe.ts';
import { buildRoot, demandSources, lookAt, type RootFolder } from './root-folder.ts';
import { runProcess } from './run.ts';

/** What to open the runtime with. */
export interface ProcessRuntimeOptions {
  /** The worker's own folder: by its path, the next process of the same worker finds what this one left. */
  readonly folder: string;
  /** A folder of programs, which are then all that is run, and are found before others; absent: whatever archives name. */
  readonly programs?: string | undefined;
  /** Variables of these that archives and orders may set; one that ends with `_` is the beginning of several. None where absent. */
  readonly programVariables?: readonly string[] | undefined;
  readonly log: Log;
}

/**
 * Opens the runtime that needs no Docker: it runs the entry point of an archive as a plain process of this machine.
 *
 * It isolates nothing. The code may read, change and send whatever the worker's user can; mounts are never read-only;
 * memory and disk are looked at every quarter of a second, so that much can be taken in between; a process that
 * takes pains to hide outlives its run. Programs print to sockets: they must write `>&2`, for `/dev/stderr` cannot be
 * opened. If the worker is killed outright, what it runs goes on until `recover` of the
 * next. For code that one trusts, and for trying the platform out. Linux only.
 */
export async function openProcessRuntime(options: ProcessRuntimeOptions): Promise<ContainerRuntime> {
  await mkdir(options.folder, { recursive: true });
  const instance = createHash('sha256')
    .update(await realpath(options.folder))
    .digest('hex')
    .slice(0, 16);
  options.log.warn(
    { runtime: 'process' },
    'The process runtime isolates nothing: run only code that you trust',
  );
  const { programs: from, programVariables } = options;
  const programs = from === undefined ? undefined : await Programs.open(from, programVariables);
  return new ProcessRuntime(instance, programs, options.log);
}

const RECIPES_KEPT = 200;

class ProcessRuntime implements ContainerRuntime {
  readonly name = 'process';
  readonly isolates = false;
  readonly #instance: string;
  readonly #programs: Programs | undefined;
  readonly #log: Log;
  readonly #recipes = new Map<string, Promise<Recipe>>();
  readonly #work = new WorkUnderWay();

  constructor(instance: string, programs: Programs | undefined, log: Log) {
    this.#instance = instance;
    this.#programs = programs;
    this.#log = log;
  }

  async prepare(context: BuildContext, { signal, onOutput }: PrepareOptions): Promise<PreparedImage> {
    this.#work.demandOpen();
    signal.throwIfAborted();
    const cached = this.#recipes.has(context.digest);
    const recipe = await this.#recipe(context);
    await this.#programs?.demand(recipe);
    signal.throwIfAborted();
    for (const remark of cached ? [] : recipe.remarks) {
      await onOutput({ stream: 'stdout', bytes: Buffer.from(`${remark}\n`) });
    }
    return { reference: referenceTo(context), cached, runner: recipe.runner };
  }

  async hasRunners(): Promise<boolean> {
    return true;
  }

  async run(spec: AnyRun, options: RunOptions): Promise<RunResult> {
    return await this.#work.do(options.signal, (signal) => this.#run(spec, { ...options, signal }));
  }

  async recover(): Promise<void> {
    const killed = await new Family(`${this.#instance}:`).end();
    if (killed > 0) this.#log.warn({ processes: killed }, 'Killed processes that an earlier worker left');
  }

  async gpus(options: FindGpusOptions): Promise<readonly Gpu[]> {
    return await this.#work.do(options.signal, (signal) => findHostGpus({ ...options, signal }));
  }

  async machine(): Promise<string> {
    return machine();
  }

  async ping(): Promise<void> {
    this.#work.demandOpen();
    try {
      await access('/proc/self/environ', constants.R_OK);
    } catch (error) {
      throw new PlatformError('unavailable', 'The process runtime needs /proc of Linux.', { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work.close(this.name);
  }

  async #run(spec: AnyRun, options: RunOptions): Promise<RunResult> {
    const { image, before = [], limits, scratch, labels } = spec;
    const mounts = mountsOf(spec);
    const context = contextOf(image, this.name);
    await demandRunnable(spec);
    this.#programs?.demandNoVariables(spec.environment);
    const recipe = await this.#recipe(context);
    await this.#programs?.demand(recipe);
    const folders = { ...scratchFolders(scratch), ...spec.writable };
    const bounds = { bytes: limits.diskBytes, files: limits.diskFiles };
    const plan = { context: context.folder, recipe, mounts, bounds, signal: options.signal };
    const root = await buildRoot(folders.root, plan);
    this.#programs?.demandWithin(root, recipe, spec);
    const whose =
      'runner' in labels ? ['runner', labels.runner] : [labels.order, labels.attempt, labels.step];
    const marker = [this.#instance, ...whose, randomBytes(8).toString('hex')].join(':');
    const ofRecipe = this.#programs === undefined ? root.translate : root.confine;
    const [program = '', ...args] = [
      ...before.map(root.translate),
      ...recipe.entryPoint.map(ofRecipe),
      ...(spec.args ?? []).map(root.translate),
    ];
    const environment: Record<string, string> = {
      ...environmentOf(translated(recipe.environment, ofRecipe), this.#programs),
      ...gpuVariables(spec.gpus ?? []),
      HOME: folders.home,
      TMPDIR: folders.tmp,
      ...translated(spec.environment ?? {}, root.translate),
      [MARKER]: marker,
    };
    const [name = ''] = recipe.entryPoint;
    const { PATH: searchPath = '' } = environment;
    const command = { program, name, args, folder: root.workingFolder, environment };
    const writable = mounts.filter((mount) => !mount.readOnly).map((mount) => mount.host);
    const run = { command, limits, folders: [scratch, ...writable], mounts, marker };
    const result = await runProcess(run, options);
    return await withReason(result, {
      words: recipe.entryPoint,
      searchPath,
      workingFolder: root.workingFolder,
      mounts,
      look: async (path) => await lookAt(root.translate(path)),
    });
  }

  #recipe({ digest, folder }: BuildContext): Promise<Recipe> {
    const earlier = this.#recipes.get(digest);
    if (earlier !== undefined) return earlier;
    const reading = readContext(folder);
    this.#recipes.set(digest, reading);
    reading.catch(() => this.#recipes.delete(digest));
    const [oldest] = this.#recipes.keys();
    if (this.#recipes.size > RECIPES_KEPT && oldest !== undefined) this.#recipes.delete(oldest);
    return reading;
  }
}

async function readContext(folder: string): Promise<Recipe> {
  const recipe = await readRecipe(await readDockerfileText(folder));
  await demandSources(folder, recipe.copies);
  return recipe;
}

function scratchFolders(scratch: string): Record<'root' | 'home' | 'tmp', string> {
  const at = (name: string) => join(scratch, name);
  mkdirSync(scratch, { recursive: true });
  try {
    for (const name of ['home', 'tmp']) mkdirSync(at(name), { mode: 0o700 });
  } catch (error) {
    throw new PlatformError('internal', `The scratch folder ${scratch} was used before.`, { cause: error });
  }
  return { root: at('root'), home: at('home'), tmp: at('tmp') };
}

function translated(
  environment: Readonly<Record<string, string>>,
  translate: RootFolder['translate'],
): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, translate(value)]));
}

function environmentOf(
  ofRecipe: Readonly<Record<string, string>>,
  programs: Programs | undefined,
): Record<string, string> {
  const standard = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const own = new Map(Object.entries({ LANG: 'C.UTF-8', ...RUN_ENVIRONMENT, ...ofRecipe }));
  // The node of the worker first, so that an archive for node needs nothing else to be installed.
  const path = (own.get('PATH') ?? '$PATH').replaceAll('$PATH', standard);
  const folders = [...(programs === undefined ? [] : [programs.folder]), dirname(process.execPath), path];
  return { ...Object.fromEntries(own), PATH: folders.join(delimiter) };
}
