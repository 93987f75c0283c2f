import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { errnoOf } from '@morpheo/common';
import { buildFailure, shown } from './failure.ts';
import type { CopyAction } from './plan/actions.ts';

/** A file or a folder of a build context that a COPY line copies. */
export interface Source {
  /** Relative to the root of the context; `.` for all of it. */
  readonly path: string;
  readonly isFolder: boolean;
  /** 755 of what may be executed, else 644. */
  readonly mode: number;
}

const MATCHES = 1000;
const WILDCARD = /[*?[]/;

/**
 * The files and folders of a build context that a COPY or ADD line names, in the order in which they are copied. A
 * pattern that fits nothing is passed over where another source is there. Throws `build_failed` naming the line where
 * a source is not there, and where ADD would unpack an archive.
 */
export async function findSources(context: string, copy: CopyAction): Promise<readonly Source[]> {
  const found: Source[] = [];
  for (const source of copy.sources) {
    const isPattern = WILDCARD.test(source);
    const matches = isPattern ? await matching(context, source, copy.line) : await named(context, source);
    if (matches.length === 0 && !isPattern) throw absent(source, copy.line);
    found.push(...matches);
    if (found.length > MATCHES)
      throw buildFailure(`${copy.word} names more than ${MATCHES} files.`, copy.line);
  }
  if (found.length === 0) throw absent(copy.sources.join(' '), copy.line);
  if (copy.word === 'ADD') for (const source of found) await demandNoArchive(context, source, copy.line);
  return found;
}

function absent(source: string, line: number): Error {
  return buildFailure(
    `There is no ${shown(source, 200)} in the archive.`,
    line,
    undefined,
    'copied_file_missing',
  );
}

async function named(context: string, path: string): Promise<readonly Source[]> {
  const stats = await lstat(join(context, path)).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  });
  if (stats === undefined || !(stats.isFile() || stats.isDirectory())) return [];
  return [{ path, isFolder: stats.isDirectory(), mode: (stats.mode & 0o111) === 0 ? 0o644 : 0o755 }];
}

/** What a pattern fits, as Go's `filepath.Match` has it: no wildcard fits a slash. */
async function matching(context: string, pattern: string, line: number): Promise<readonly Source[]> {
  let paths: readonly string[] = [''];
  for (const part of pattern.split('/')) {
    const fits = WILDCARD.test(part) ? patternOf(part, pattern, line) : undefined;
    const next: string[] = [];
    for (const path of paths) {
      const names = fits === undefined ? [part] : await namesIn(join(context, path));
      for (const name of names)
        if (fits?.test(name) !== false) next.push(path === '' ? name : `${path}/${name}`);
      if (next.length > MATCHES)
        throw buildFailure(`${shown(pattern)} fits more than ${MATCHES} files.`, line);
    }
    paths = next;
  }
  const found: Source[] = [];
  for (const path of paths) found.push(...(await named(context, path)));
  return found;
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  });
  return names.toSorted();
}

function patternOf(part: string, whole: string, line: number): RegExp {
  const pattern = part.replaceAll(/\*+|\?|\[(?<not>\^?)(?<set>[^\]]+)\]|[^*?[]+|\[/g, (piece, ...rest) => {
    const { not = '', set } = rest.at(-1) as { not?: string; set?: string };
    if (piece.startsWith('*')) return '.*';
    if (piece === '?') return '.';
    if (set !== undefined) return `[${not}${set.replaceAll(/[\\[\]^]/g, '\\$&')}]`;
    if (piece === '[') throw buildFailure(`${shown(whole)} is no pattern: a [ is not closed.`, line);
    return piece.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  });
  try {
    return new RegExp(`^${pattern}$`, 'su');
  } catch (error) {
    throw buildFailure(`${shown(whole)} is no pattern.`, line, error);
  }
}

/** What other archives than of tar begin with that Docker unpacks: bzip2, xz, zstd. */
const PACKED = ['425a68', 'fd377a585a00', '28b52ffd'];
const BLOCK = 512;

/** Docker unpacks what ADD copies, where it is a tar archive; whoever reads the line cannot tell. */
async function demandNoArchive(context: string, { path, isFolder }: Source, line: number): Promise<void> {
  if (isFolder || !(await isArchive(join(context, path)))) return;
  const remedy = 'put its files into the archive, or COPY it and unpack it in a RUN line';
  throw buildFailure(`ADD would unpack ${shown(path)}, which is not supported: ${remedy}.`, line);
}

async function isArchive(path: string): Promise<boolean> {
  const start = await beginning(createReadStream(path, { end: BLOCK - 1 }));
  if (PACKED.some((mark) => start.toString('hex').startsWith(mark)) || isTarHeader(start)) return true;
  if (!start.toString('hex').startsWith('1f8b')) return false;
  const source = createReadStream(path);
  const unpacked = source.pipe(createGunzip());
  source.on('error', (error) => unpacked.destroy(error));
  try {
    return isTarHeader(await beginning(unpacked));
  } catch {
    // What is cut or broken is no archive to Docker either: it is copied as it is.
    return false;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

async function beginning(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes >= BLOCK) break;
  }
  return Buffer.concat(chunks).subarray(0, BLOCK);
}

/** By the sum of its bytes, its own field of the sum counting as blanks: also the oldest form has that. */
function isTarHeader(block: Buffer): boolean {
  if (block.byteLength < BLOCK) return false;
  const written = Number.parseInt(
    block.subarray(148, 156).toString('latin1').replaceAll('\0', ' ').trim(),
    8,
  );
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  return written === sum && sum > 8 * 0x20;
}
