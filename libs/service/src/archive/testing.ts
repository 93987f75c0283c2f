import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** The type flags of POSIX.1-2017 `pax`, "ustar Interchange Format", and some of GNU tar's. */
export const FLAGS = {
  file: '0',
  hardLink: '1',
  symlink: '2',
  characterDevice: '3',
  blockDevice: '4',
  folder: '5',
  fifo: '6',
  pax: 'x',
  globalPax: 'g',
  gnuLongName: 'L',
  gnuLongLink: 'K',
  gnuSparse: 'S',
} as const;

/** An entry to put into a test's archive, however hostile. */
export interface RawEntry {
  readonly name: string;
  /** One of {@link FLAGS}, or any other character. */
  readonly flag?: string;
  readonly body?: string | Uint8Array;
  readonly mode?: number;
  readonly link?: string;
  /** What the header claims; the body's length unless given. */
  readonly size?: number;
}

/** A tar archive of exactly these entries, checked by nothing. */
export function rawTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocksOf), Buffer.alloc(1024)]);
}

/** The same, compressed with gzip. */
export function rawTarGz(entries: readonly RawEntry[]): Buffer {
  return gzipSync(rawTar(entries));
}

/** One record of a pax header: `<length> <key>=<value>\n`, its length counting itself. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (`${length}`.length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
}

function blocksOf(entry: RawEntry): Buffer[] {
  const body = Buffer.from(entry.body ?? '');
  const header = Buffer.alloc(512);
  header.write(entry.name, 0, 100);
  header.write(octal(entry.mode ?? 0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(entry.size ?? body.byteLength, 11), 124);
  header.write(octal(0, 11), 136);
  header.write('        ', 148);
  header.write(entry.flag ?? FLAGS.file, 156);
  header.write(entry.link ?? '', 157, 100);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  return [header, body, Buffer.alloc((512 - (body.byteLength % 512)) % 512)];
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** A fresh folder that is removed with all that is in it; in the system's place for such unless told otherwise. */
export async function temporaryFolder(
  parent: string = tmpdir(),
): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(parent, 'morpheo-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** All files and folders below a folder, as sorted relative paths. */
export async function listing(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}

/** Bytes as a stream of chunks. */
export async function* chunked(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}
