import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { readDockerfileText } from './dockerfile/read-dockerfile.ts';
import type {
  BuildContext,
  ContainerRuntime,
  FindGpusOptions,
  Gpu,
  PreparedImage,
  PrepareOptions,
  RunOptions,
  RunResult,
  RunSpec,
} from './index.ts';
import { demandMounts } from './mounts.ts';
import { type Recipe, readDockerfile } from './process/dockerfile.ts';
import { Family, MARKER } from './process/family.ts';
import { findHostGpus, gpuVariables } from './process/gpus.ts';
import { buildRoot, demandSources, type RootFolder } from './process/root-folder.ts';
import { supervise } from './process/supervise.ts';

/** What to open the runtime with. */
export interface ProcessRuntimeOptions {
  /** The worker's own folder: by its path, the next process of the same worker finds what this one left. */
  readonly folder: string;
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
  return new ProcessRuntime(instance, options.log);
}

const RECIPES_KEPT = 200;

class ProcessRuntime implements ContainerRuntime {
  readonly name = 'process';
  readonly isolates = false;
  readonly #instance: string;
  readonly #log: Log;
  readonly #recipes = new Map<string, Promise<Recipe>>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor(instance: string, log: Log) {
    this.#instance = instance;
    this.#log = log;
  }

  async prepare({ digest, folder }: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    this.#signal(options.signal).throwIfAborted();
    const cached = this.#recipes.has(digest);
    const recipe = await this.#recipe(digest, folder);
    options.signal.throwIfAborted();
    for (const remark of cached ? [] : recipe.remarks) {
      await options.onOutput({ stream: 'stdout', bytes: Buffer.from(`${remark}\n`) });
    }
    return { reference: `${digest}:${folder}`, cached };
  }

  async run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    const running = this.#run(spec, { ...options, signal: this.#signal(options.signal) });
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async recover(): Promise<void> {
    const killed = await new Family(`${this.#instance}:`).end();
    if (killed > 0) this.#log.warn({ processes: killed }, 'Killed processes that an earlier worker left');
  }

  async gpus(options: FindGpusOptions): Promise<readonly Gpu[]> {
    return await findHostGpus({ ...options, signal: this.#signal(options.signal) });
  }

  async ping(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    try {
      await access('/proc/self/environ', constants.R_OK);
    } catch (error) {
      throw new PlatformError('unavailable', 'The process runtime needs /proc of Linux.', { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new PlatformError('unavailable', 'The process runtime was closed.'));
    await Promise.allSettled(this.#running);
  }

  async #run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    options.signal.throwIfAborted();
    const [, digest, context] = /^([^:]*):(.*)$/s.exec(spec.image.reference) ?? [];
    if (digest === undefined || context === undefined) {
      throw new PlatformError('internal', 'The image was not prepared by the process runtime.');
    }
    await demandMounts(spec.mounts);
    const recipe = await this.#recipe(digest, context);
    const folders = await scratchFolders(spec.scratch);
    const bounds = { bytes: spec.limits.diskBytes, files: spec.limits.diskFiles };
    const plan = { context, recipe, mounts: spec.mounts, bounds, signal: options.signal };
    const root = await buildRoot(folders.root, plan);
    const { order, attempt, step } = spec.labels;
    const marker = [this.#instance, order, attempt, step, randomBytes(8).toString('hex')].join(':');
    const [program = '', ...args] = [...recipe.entryPoint, ...spec.args].map((word) => root.translate(word));
    const environment = {
      ...environmentOf(recipe, root),
      ...gpuVariables(spec.gpus ?? []),
      HOME: folders.home,
      TMPDIR: folders.tmp,
      [MARKER]: marker,
    };
    const writable = spec.mounts.filter((mount) => !mount.readOnly).map((mount) => mount.host);
    return await supervise(
      {
        command: { program, args, folder: root.workingFolder, environment },
        limits: spec.limits,
        folders: [spec.scratch, ...writable],
        marker,
      },
      options,
    );
  }

  #recipe(digest: string, folder: string): Promise<Recipe> {
    const known = this.#recipes.get(digest);
    if (known !== undefined) return known;
    const reading = readRecipe(folder);
    this.#recipes.set(digest, reading);
    reading.catch(() => this.#recipes.delete(digest));
    const [oldest] = this.#recipes.keys();
    if (this.#recipes.size > RECIPES_KEPT && oldest !== undefined) this.#recipes.delete(oldest);
    return reading;
  }

  #signal(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }
}

async function readRecipe(folder: string): Promise<Recipe> {
  const recipe = readDockerfile(await readDockerfileText(folder));
  await demandSources(folder, recipe.copies);
  return recipe;
}

async function scratchFolders(scratch: string): Promise<Record<'root' | 'home' | 'tmp', string>> {
  const at = (name: string) => join(scratch, name);
  await mkdir(scratch, { recursive: true });
  try {
    for (const name of ['home', 'tmp']) await mkdir(at(name), { mode: 0o700 });
  } catch (error) {
    throw new PlatformError('internal', `The scratch folder ${scratch} was used before.`, { cause: error });
  }
  return { root: at('root'), home: at('home'), tmp: at('tmp') };
}

function environmentOf(recipe: Recipe, root: RootFolder): Record<string, string> {
  const standard = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const translated = Object.entries(recipe.environment).map(
    ([name, value]) => [name, root.translate(value)] as const,
  );
  const own = new Map([['LANG', 'C.UTF-8'] as const, ...translated]);
  // The node of the worker first, so that an archive for node needs nothing else to be installed.
  const path = (own.get('PATH') ?? '$PATH').replaceAll('$PATH', standard);
  return { ...Object.fromEntries(own), PATH: `${dirname(process.execPath)}${delimiter}${path}` };
}
