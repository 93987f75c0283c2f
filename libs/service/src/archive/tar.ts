import { constants as fs } from 'node:fs';
import { open } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import { type Pack, pack } from 'tar-stream';

/** What stands in an archive about a file or a folder; times are never kept, so that the same files give the same bytes. */
interface Header {
  /** Relative to the root of the archive, with `/`; of a folder with one at its end. */
  readonly name: string;
  readonly mode: number;
  /** Whose it is; root's where absent. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/** A file or a folder of an archive. */
export interface TarEntry extends Header {
  readonly type: 'file' | 'directory';
  /** In bytes; 0 for a folder. */
  readonly size: number;
  /** As many bytes as `size` says; read before the next entry is asked for. */
  readonly bytes?: AsyncIterable<Uint8Array> | undefined;
}

/** What of {@link tarOf} may be chosen. */
export interface TarOptions {
  /** What is thrown where an entry has more or fewer bytes than it says; `internal` where absent. */
  readonly changed?: (name: string) => Error;
}

/**
 * The bytes of a tar archive of these entries, made no faster than they are read. What `entries` throws leaves the
 * iteration, and where that is left early, the iteration of `entries` ends too.
 */
export async function* tarOf(
  entries: AsyncIterable<TarEntry>,
  { changed = changedWhilePacked }: TarOptions = {},
): AsyncGenerator<Uint8Array> {
  const tar = pack();
  let fault: { readonly error: unknown } | undefined;
  const filling = fill(tar, entries, changed).catch((error: unknown) => {
    fault = { error };
    tar.destroy(new Error('The archive could not be filled to its end'));
  });
  try {
    for await (const chunk of tar) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (error) {
    throw fault === undefined ? error : fault.error;
  } finally {
    tar.destroy();
    await filling;
  }
}

async function fill(
  tar: Pack,
  entries: AsyncIterable<TarEntry>,
  changed: (name: string) => Error,
): Promise<void> {
  for await (const entry of entries) await addEntry(tar, entry, changed);
  tar.finalize();
}

async function addEntry(
  tar: Pack,
  { name, type, size, mode, owner = { uid: 0, gid: 0 }, bytes }: TarEntry,
  changed: (name: string) => Error,
): Promise<void> {
  const { promise: packed, resolve, reject } = Promise.withResolvers<void>();
  // It is awaited below; until then a rejection must not count as one that nobody hears.
  packed.catch(() => undefined);
  const header = { name, type, size, mode, mtime: new Date(0), ...owner };
  const sink = tar.entry(header, (error) => (error ? reject(error) : resolve()));
  sink.once('error', reject);
  let left = size;
  if (size > 0 && bytes !== undefined) {
    for await (const chunk of bytes) {
      left -= chunk.byteLength;
      if (left < 0 || !(await writeAndDrain(sink, chunk))) break;
    }
  }
  if (left !== 0) throw changed(name);
  sink.end(undefined);
  await packed;
}

function changedWhilePacked(name: string): PlatformError {
  return new PlatformError('internal', `The file ${name} changed while it was packed.`);
}

/** How much of a file is read at a time: of large ones, each piece costs more than the bytes in it. */
const PIECE_BYTES = 256 * 1024;

/** A file of this machine as it goes into an archive. */
export interface TarFile extends Header {
  /** What it had when it was looked at, in bytes; where it has not any more, {@link fileEntry} throws. */
  readonly size?: number | undefined;
}

/**
 * The entry of a regular file, which is open while the entry is read: no link is followed, and no bytes are read that
 * the file gets meanwhile. Throws what `changed` makes, `internal` where absent, where it is not what it was.
 */
export async function* fileEntry(
  path: string,
  file: TarFile,
  { changed = changedWhilePacked }: TarOptions = {},
): AsyncGenerator<TarEntry> {
  await using opened = await open(path, fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK);
  const stats = await opened.stat();
  const { size = stats.size } = file;
  if (!stats.isFile() || stats.size !== size) throw changed(file.name);
  const options = { autoClose: false, end: Math.max(size - 1, 0), highWaterMark: PIECE_BYTES };
  const bytes = opened.createReadStream(options);
  yield { ...file, type: 'file', size, bytes };
}

/** What both ends of a tar archive have in common as streams to write to (they are not Node's own). */
export interface ByteSink {
  write(bytes: Uint8Array): boolean;
  readonly destroyed: boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

/** Writes bytes and waits until more may come. Returns false, and does nothing, once the sink is closed. */
export async function writeAndDrain(sink: ByteSink, bytes: Uint8Array): Promise<boolean> {
  if (sink.destroyed) return false;
  if (sink.write(bytes)) return true;
  const { promise, resolve } = Promise.withResolvers<void>();
  sink.once('drain', resolve);
  sink.once('close', resolve);
  await promise;
  sink.off('drain', resolve);
  sink.off('close', resolve);
  return !sink.destroyed;
}
