import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDiskFull, PlatformError } from '@morpheo/common';

/** A payload up to this size is held in memory, in bytes. */
const IN_MEMORY_BYTES = 1024 ** 2;

/**
 * The payload of a job, as it comes: the inside of a text of JSON, of any length. What is long waits in a file, which goes when
 * this is disposed.
 */
export class Payload implements AsyncDisposable {
  readonly #path: string;
  #pieces: Buffer[] = [];
  #size = 0;
  #file: FileHandle | undefined;

  /** `folder` is where a file may be made. */
  constructor(folder: string) {
    this.#path = join(folder, randomUUID());
  }

  /** Whether there is something in it. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Adds a piece of the text as it stands between its quotes, of which a copy is taken. */
  async add(piece: Uint8Array): Promise<void> {
    this.#size += piece.byteLength;
    this.#pieces.push(Buffer.from(piece));
    if (this.#size > IN_MEMORY_BYTES) await this.#toFile();
  }

  /** Forgets what came: another text takes its place. */
  async clear(): Promise<void> {
    this.#pieces = [];
    this.#size = 0;
    await this[Symbol.asyncDispose]();
  }

  async #toFile(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, 'wx', 0o600);
      for (const piece of this.#pieces.splice(0)) await this.#file.writeFile(piece);
    } catch (cause) {
      if (!isDiskFull(cause)) throw cause;
      throw new PlatformError('disk_full', 'There is no room for the payload here: try again later.', {
        cause,
      });
    }
  }

  /** All of it where it is in memory. Throws `invalid_request` where it is no text of JSON. */
  async whole(): Promise<Buffer | undefined> {
    if (this.#file !== undefined) return undefined;
    return Buffer.concat(await Array.fromAsync(this.bytes()));
  }

  /** What the text says, in UTF-8. Throws `invalid_request` where it is no text of JSON. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const source = this.#file === undefined ? this.#pieces : createReadStream(this.#path);
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    let rest = '';
    for await (const piece of source) {
      const text = rest + read(() => decoder.decode(piece, { stream: true }));
      const end = wholeEscapes(text);
      yield unescaped(text.slice(0, end));
      rest = text.slice(end);
    }
    yield unescaped(rest + read(() => decoder.decode()));
  }

  /** The SHA-256 of what it says. */
  async digest(): Promise<string> {
    return await digestOf(this.bytes());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    if (this.#file !== undefined) await rm(this.#path, { force: true });
    this.#file = undefined;
  }
}

/** The SHA-256 of bytes as they come. */
export async function digestOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of bytes) hash.update(piece);
  return hash.digest('hex');
}

/** How much of a text of JSON can be read before more of it has come: an escape, or a pair of them, may be cut in two. */
function wholeEscapes(text: string): number {
  const token = /[^\\]+|\\u[0-9a-fA-F]{4}|\\[^u]/gy;
  let [end, before] = [0, 0];
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    [before, end] = [end, token.lastIndex];
  }
  // Of a pair the first half waits for the second.
  const cut = /^\\u[dD][89abAB]/.test(text.slice(before, end)) ? before : end;
  // What is longer is no escape, and will be none.
  return text.length - cut < 2 * LONGEST_ESCAPE ? cut : text.length;
}

const LONGEST_ESCAPE = '\\u0000'.length;

function unescaped(text: string): Uint8Array {
  return Buffer.from(read(() => String(JSON.parse(`"${text}"`))));
}

function read(call: () => string): string {
  try {
    return call();
  } catch (cause) {
    throw new PlatformError('invalid_request', 'The request body must be a JSON object', { cause });
  }
}
