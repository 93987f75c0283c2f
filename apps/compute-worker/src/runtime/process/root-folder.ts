import { constants, existsSync, lstatSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { chmod, copyFile, cp, lstat, mkdir, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { errnoOf, isDiskFull, PlatformError } from '@morpheo/common';
import { diskFull } from '../../files/disk-full.ts';
import { buildFailure } from '../dockerfile/failure.ts';
import type { CopyAction } from '../dockerfile/plan/actions.ts';
import { findSources, type Source } from '../dockerfile/sources.ts';
import { type EntryFile, HEAD_BYTES } from '../entry-file.ts';
import { type DiskUse, measure } from '../folders.ts';
import type { Mount } from '../index.ts';
import type { Recipe } from './recipe.ts';

/** What stands in for a container's file system: a folder that holds what its paths lead to. */
export interface RootFolder {
  /** Where the program starts. */
  readonly workingFolder: string;
  /**
   * An argument or a value of the environment with container paths replaced by real ones, also after `--name=` and
   * in a list with colons. A path is replaced where it is there, or lies below what a mount or a COPY put there.
   */
  readonly translate: (text: string) => string;
  /** As {@link translate}, but a path at which nothing stands leads into the folder as well, and never to this machine's. */
  readonly confine: (text: string) => string;
  /**
   * The first path in an argument or a value of the environment by which a program would leave the folder and its mounts:
   * an absolute one that is not replaced, or one with `..`. Undefined where there is none. `absent` lets those through
   * that {@link confine} leads into the folder.
   */
  wayOut(text: string, options?: { readonly absent: boolean }): string | undefined;
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
 * the run has a copy of its own, and mounts are links to their host folders and files. Costs one copy of the context for each
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
  for (const mount of sorted) await linkMount(mount, sorted, path);
  const whole = recipe.copies.find((copy) => copy.sources.includes('.'));
  const workingFolder = recipe.workingFolder ?? whole?.destination ?? '/';
  const copied = recipe.copies.map((copy) => copy.destination);
  const places: Places = { root: path, mounts: sorted.toReversed(), copied };
  return {
    workingFolder: join(path, workingFolder),
    translate: (text) => replaced(text, (part) => real(part, places) ?? part),
    confine: (text) => replaced(text, (part) => real(part, places) ?? within(part, path)),
    wayOut: (text, { absent } = { absent: false }) => {
      const { parts } = partsOf(text);
      return parts.find((part) => leadsOut(part, absent || real(part.text, places) !== undefined))?.text;
    },
  };
}

/** Checks that the sources of all COPY lines are there. Throws `build_failed` naming the line. */
export async function demandSources(context: string, copies: readonly CopyAction[]): Promise<void> {
  for (const copy of copies) await findSources(context, copy);
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
    const sources = await findSources(context, copy);
    for (const source of sources) {
      const used = await sizeOf(join(context, source.path), { bytes, files });
      bytes -= used.bytes;
      files -= used.files;
      if (bytes < 0 || files < 0) break;
    }
    if (bytes < 0 || files < 0)
      throw buildFailure(
        'The COPY lines make more than the disk of a step may hold.',
        copy.line,
        undefined,
        'copies_too_large',
      );
    try {
      await carryOut(copy, sources, { context, root, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (isDiskFull(error)) throw diskFull('worker', 'The disk of the worker is full.', error);
      throw buildFailure(`Something stands in the way of ${copy.destination}.`, copy.line, error);
    }
  }
}

async function sizeOf(path: string, bounds: DiskUse): Promise<DiskUse> {
  const stats = await lstat(path);
  return stats.isDirectory() ? await measure([path], bounds) : { bytes: stats.size, files: 1 };
}

interface CopyPlace {
  readonly context: string;
  readonly root: string;
  readonly signal: AbortSignal;
}

async function carryOut(
  copy: CopyAction,
  sources: readonly Source[],
  { context, root, signal }: CopyPlace,
): Promise<void> {
  const destination = join(root, copy.destination);
  const into = copy.intoFolder || sources.length > 1 || (await isFolder(destination));
  for (const source of sources) {
    const from = join(context, source.path);
    const to = !source.isFolder && into ? join(destination, basename(source.path)) : destination;
    mkdirSync(source.isFolder ? to : dirname(to), { recursive: true });
    const copied = source.isFolder ? await copyFolder(from, to, signal) : await copyOne(from, to);
    // What is in a folder before the folder: its own mode may forbid to look into it.
    if (copy.mode !== undefined) for (const path of copied.toReversed()) await chmod(path, copy.mode);
  }
}

/** Copies a folder with all that is in it; returns the paths of the copies, each folder before what is in it. */
async function copyFolder(from: string, to: string, signal: AbortSignal): Promise<readonly string[]> {
  const copied: string[] = [];
  const goOn = (_: string, path: string) => {
    signal.throwIfAborted();
    copied.push(path);
    return true;
  };
  const mode = constants.COPYFILE_FICLONE;
  await cp(from, to, { recursive: true, verbatimSymlinks: true, mode, filter: goOn });
  return copied;
}

async function copyOne(from: string, to: string): Promise<readonly string[]> {
  if (lstatSync(to, { throwIfNoEntry: false }) !== undefined) await rm(to);
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  return [to];
}

/** A handful of calls that cost less than to wait for each of them. */
async function linkMount(mount: Mount, all: readonly Mount[], root: string): Promise<void> {
  const above = all.findLast((other) => mount.container.startsWith(`${other.container}/`));
  if (above !== undefined) {
    const there = join(above.host, mount.container.slice(above.container.length));
    if (realpathSync(there) === realpathSync(mount.host)) return;
    const message = `The mount at ${mount.container} must lie in the folder of the mount at ${above.container}.`;
    throw new PlatformError('internal', message);
  }
  const host = realpathSync(mount.host);
  const link = join(root, mount.container);
  try {
    // As in a container, a mount hides what the image has at its place.
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) await rm(link, { recursive: true });
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(host, link);
  } catch (error) {
    throw buildFailure(
      `A COPY line puts a file where ${mount.container} must be a folder.`,
      undefined,
      error,
    );
  }
}

/** Where paths of a container lead to. */
interface Places {
  readonly root: string;
  /** The innermost first. */
  readonly mounts: readonly Mount[];
  /** What COPY lines put somewhere. */
  readonly copied: readonly string[];
}

/** The address of a socket has so many bytes at most. */
const ADDRESS_BYTES = 107;

/** A piece of a text between colons. */
interface Part {
  readonly text: string;
  /** It is what follows `https:`, which looks like a path and is none. */
  readonly isOfUrl: boolean;
}

function partsOf(text: string): { readonly option: string; readonly parts: readonly Part[] } {
  const [, option = '', value = text] = /^(--?[\w-]+=)(.*)$/s.exec(text) ?? [];
  const all = value.split(':');
  const isUrl = /^https?$/i.test(all[0] ?? '') && all[1]?.startsWith('//') === true;
  return { option, parts: all.map((part, index) => ({ text: part, isOfUrl: isUrl && index === 1 })) };
}

function replaced(text: string, replace: (path: string) => string): string {
  const { option, parts } = partsOf(text);
  return option + parts.map((part) => (part.isOfUrl ? part.text : replace(part.text))).join(':');
}

/** Where an absolute path leads to; undefined where nothing stands for it, and for any other text. */
function real(path: string, { root, mounts, copied }: Places): string | undefined {
  if (!isAbsolute(path)) return undefined;
  const plain = posix.normalize(path);
  const isBelow = (other: string) => other !== '/' && `${plain}/`.startsWith(`${other}/`);
  const there = join(root, plain);
  const mount = mounts.find(({ container }) => isBelow(container));
  if (mount !== undefined) {
    const host = join(mount.host, posix.relative(mount.container, plain));
    return Buffer.byteLength(there) > ADDRESS_BYTES && host.length < there.length ? host : there;
  }
  return copied.some(isBelow) || (plain !== '/' && existsSync(there)) ? there : undefined;
}

function within(path: string, root: string): string {
  return isAbsolute(path) ? join(root, posix.normalize(path)) : path;
}

function isAbsolute(path: string): boolean {
  return posix.isAbsolute(path) && !path.includes('\0');
}

/** The parent folder, as a segment of a path. */
const UPWARDS = /(?<![\p{L}\p{N}_.])\.\.(?![\p{L}\p{N}_.])|\.\.\//u;
/** An absolute path behind something, such as a comma or a letter of an option: a program may split where nothing is replaced. */
const INNER_PATH = /(?<![\p{L}\p{N}_.~+/-])\/+[^\s/]|^-\p{L}?\//u;

function leadsOut({ text, isOfUrl }: Part, isReplaced: boolean): boolean {
  if (isOfUrl) return UPWARDS.test(text);
  if (!isAbsolute(text)) return UPWARDS.test(text) || INNER_PATH.test(text);
  const below = posix.normalize(text).slice(1);
  return !isReplaced || UPWARDS.test(below) || INNER_PATH.test(below);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** What stands at a path of this machine, every link followed. */
export async function lookAt(path: string): Promise<EntryFile> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return { kind: 'folder' };
    if (!stats.isFile()) return { kind: 'absent' };
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return { kind: 'file', executable: (stats.mode & 0o111) !== 0, head: buffer.subarray(0, bytesRead) };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return { kind: 'absent' };
    throw error;
  }
}
