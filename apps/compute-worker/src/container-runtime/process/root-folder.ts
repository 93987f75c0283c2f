import { constants, existsSync } from 'node:fs';
import { cp, glob, lstat, mkdir, realpath, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { type DiskUse, measure } from '../disk-watch.ts';
import { buildFailure } from '../dockerfile/build-failure.ts';
import type { Mount } from '../index.ts';
import type { CopyLine } from './copy-line.ts';
import type { Recipe } from './dockerfile.ts';

const MATCHES = 1000;

/** What stands in for a container's file system: a folder that holds what its paths lead to. */
export interface RootFolder {
  /** Where the program starts. */
  readonly workingFolder: string;
  /**
   * An argument or a value of the environment with container paths replaced by real ones, also after `--name=` and
   * in a list with colons. A path is replaced where it is there, or lies below what a mount or a COPY put there.
   */
  translate(text: string): string;
}

/** What a {@link RootFolder} is built from. */
export interface RootPlan {
  /** The folder of the build context. */
  readonly context: string;
  readonly recipe: Recipe;
  readonly mounts: readonly Mount[];
  /** Of what the COPY lines make. */
  readonly bounds: DiskUse;
  readonly signal: AbortSignal;
}

/**
 * Builds the root folder at `path`, which must not exist: COPY lines are carried out from the build context, so that
 * the run has a copy of its own, and mounts are links to their host folders. Costs one copy of the context for each
 * run (none where the file system shares blocks).
 *
 * Throws `build_failed` where a COPY line cannot be carried out.
 */
export async function buildRoot(path: string, plan: RootPlan): Promise<RootFolder> {
  const { recipe, mounts } = plan;
  await mkdir(path);
  await makeWorkingFolder(join(path, recipe.workingFolder ?? '/'));
  await carryOutAll(path, plan);
  const sorted = mounts.toSorted((a, b) => a.container.length - b.container.length);
  for (const mount of sorted) await place(mount, sorted, path);
  const whole = recipe.copies.find((copy) => copy.sources.includes('.'));
  const workingFolder = recipe.workingFolder ?? whole?.destination ?? '/';
  const known = [...mounts.map((mount) => mount.container), ...recipe.copies.map((copy) => copy.destination)];
  return {
    workingFolder: join(path, workingFolder),
    translate: (text) => translate(text, path, known),
  };
}

/** Checks that the sources of all COPY lines are there. Throws `build_failed` naming the line. */
export async function demandSources(context: string, copies: readonly CopyLine[]): Promise<void> {
  for (const copy of copies) await matches(copy, context);
}

async function makeWorkingFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw buildFailure('The WORKDIR cannot be made.', undefined, error);
  }
}

async function carryOutAll(root: string, { context, recipe, bounds, signal }: RootPlan): Promise<void> {
  let { bytes, files } = bounds;
  for (const copy of recipe.copies) {
    const sources = await matches(copy, context);
    for (const source of sources) {
      const used = await sizeOf(join(context, source), { bytes, files });
      bytes -= used.bytes;
      files -= used.files;
      if (bytes < 0 || files < 0) break;
    }
    if (bytes < 0 || files < 0)
      throw buildFailure('The COPY lines make more than the disk of a step may hold.', copy.line);
    try {
      await carryOut({ ...copy, sources }, context, root, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isFull(error))
        throw new PlatformError('disk_full', 'The disk of the worker is full.', { cause: error });
      throw buildFailure(`Something stands in the way of ${copy.destination}.`, copy.line, error);
    }
  }
}

async function sizeOf(path: string, bounds: DiskUse): Promise<DiskUse> {
  const stats = await lstat(path);
  return stats.isDirectory() ? await measure([path], bounds) : { bytes: stats.size, files: 1 };
}

async function carryOut(copy: CopyLine, context: string, root: string, signal: AbortSignal): Promise<void> {
  const destination = join(root, copy.destination);
  const into = copy.intoFolder || copy.sources.length > 1 || (await isFolder(destination));
  for (const source of copy.sources) {
    const from = join(context, source);
    const isFile = !(await isFolder(from));
    const to = isFile && into ? join(destination, basename(source)) : destination;
    await mkdir(isFile ? dirname(to) : to, { recursive: true });
    const goOn = () => {
      signal.throwIfAborted();
      return true;
    };
    const mode = constants.COPYFILE_FICLONE;
    await cp(from, to, { recursive: true, verbatimSymlinks: true, mode, filter: goOn });
  }
}

async function matches(copy: CopyLine, context: string): Promise<string[]> {
  const found: string[] = [];
  for (const source of copy.sources) {
    const before = found.length;
    if (existsSync(join(context, source))) found.push(source);
    else for await (const match of glob(source, { cwd: context })) found.push(match);
    if (found.length > MATCHES) throw buildFailure(`${source} names more than ${MATCHES} files.`, copy.line);
    if (found.length === before) throw buildFailure(`There is no ${source} in the archive.`, copy.line);
  }
  return found;
}

async function place(mount: Mount, all: readonly Mount[], root: string): Promise<void> {
  if (!posix.isAbsolute(mount.container) || posix.normalize(mount.container) !== mount.container) {
    throw new PlatformError('internal', `The mount at ${mount.container} needs a plain absolute path.`);
  }
  const above = all.findLast((other) => mount.container.startsWith(`${other.container}/`));
  if (above !== undefined) {
    const there = join(above.host, mount.container.slice(above.container.length));
    if ((await realpath(there)) === (await realpath(mount.host))) return;
    const what = `The mount at ${mount.container} must lie in the folder of the mount at ${above.container}.`;
    throw new PlatformError('internal', what);
  }
  const host = await realpath(mount.host);
  const link = join(root, mount.container);
  try {
    // As in a container, a mount hides what the image has at its place.
    await rm(link, { recursive: true, force: true });
    await mkdir(dirname(link), { recursive: true });
    await symlink(host, link);
  } catch (error) {
    throw buildFailure(
      `A COPY line puts a file where ${mount.container} must be a folder.`,
      undefined,
      error,
    );
  }
}

function translate(text: string, root: string, known: readonly string[]): string {
  const [, option = '', value = text] = /^(--?[\w-]+=)(.*)$/s.exec(text) ?? [];
  const parts = value.split(':').map((part) => real(part, root, known));
  return option + parts.join(':');
}

function real(path: string, root: string, known: readonly string[]): string {
  if (!posix.isAbsolute(path) || path.includes('\0')) return path;
  const plain = posix.normalize(path);
  const below = known.some((other) => other !== '/' && `${plain}/`.startsWith(`${other}/`));
  const there = join(root, plain);
  return below || (plain !== '/' && existsSync(there)) ? there : path;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
