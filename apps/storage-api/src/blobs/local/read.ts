import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { ByteRange } from '../blob-store.ts';
import { DIRECT_FROM_BYTES, DirectFile, pagesOf } from './direct.ts';

/** How much is read at once. */
const PIECE_BYTES = 256 * 1024;
/** The same past the system's cache, which reads nothing ahead then. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * Opens a file and streams it, or the part `range` of it, in pieces that are read when they are asked for; of what lies
 * far into a large file, one block more.
 * Rejects with the file system's error where it cannot be opened, and with `internal` where it is shorter than
 * `range` says; the stream fails likewise should it be cut short meanwhile. The file is closed at the end, on an error
 * and on cancel.
 */
export async function readFileStream(path: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const { start, end } = range ?? { start: 0, end: size - 1 };
    if (end >= size) throw tooShort(path, size, end);
    return streamOf(new RangeReader(handle, path, start, end));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function streamOf(reader: RangeReader): ReadableStream<Uint8Array> {
  return new ReadableStream({
    // A reader may bring memory of its own, and use it again and again.
    type: 'bytes',
    autoAllocateChunkSize: PIECE_BYTES,
    async start(controller) {
      if (!reader.isAtEnd) return;
      await reader.close();
      controller.close();
      // A reader who brought memory and waits already is told too.
      controller.byobRequest?.respond(0);
    },
    async pull(controller) {
      const view = controller.byobRequest?.view;
      if (!(view instanceof Uint8Array)) throw new TypeError('a stream that allocates always has a request');
      try {
        const bytesRead = await reader.read(view);
        if (reader.isAtEnd) await reader.close();
        controller.byobRequest?.respond(bytesRead);
        if (reader.isAtEnd) controller.close();
      } catch (error) {
        await reader.close();
        throw error;
      }
    },
    cancel: () => reader.close(),
  });
}

/** A block that was read past the system's cache: none of it where that cannot be. */
interface Block {
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly position: number;
  readonly bytes: number;
}

/** Reads a part of a file from its start to its end. */
class RangeReader {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #end: number;
  #position: number;
  readonly #direct: DirectFile;
  #ahead: Promise<Block> | undefined;
  #block: Block | undefined;
  #spare: Uint8Array<ArrayBuffer> | undefined;

  /** `end` is inclusive. */
  constructor(handle: FileHandle, path: string, start: number, end: number) {
    this.#handle = handle;
    this.#path = path;
    this.#position = start;
    this.#end = end;
    this.#direct = new DirectFile(handle, 'read');
  }

  get isAtEnd(): boolean {
    return this.#position > this.#end;
  }

  /** Fills memory with the next bytes, as far as they are there at once, and says how many those are. */
  async read(view: Uint8Array): Promise<number> {
    const wanted = Math.min(view.byteLength, this.#end - this.#position + 1);
    const bytes = (await this.#readDirectly(view, wanted)) || (await this.#readUsually(view, wanted));
    if (bytes === 0) throw tooShort(this.#path, this.#position, this.#end);
    this.#position += bytes;
    return bytes;
  }

  async close(): Promise<void> {
    const ahead = await this.#ahead?.catch(() => undefined);
    await this.#direct[Symbol.asyncDispose]();
    // At once, and not when the collector comes round.
    for (const memory of [this.#block?.memory, ahead?.memory, this.#spare])
      if (memory?.buffer.detached === false) memory.buffer.transfer(0);
    await this.#handle.close();
  }

  async #readUsually(view: Uint8Array, wanted: number): Promise<number> {
    return (await this.#handle.read(view, 0, wanted, this.#position)).bytesRead;
  }

  async #readDirectly(view: Uint8Array, wanted: number): Promise<number> {
    if (
      this.#position < DIRECT_FROM_BYTES ||
      (this.#block === undefined && this.#end - this.#position < BLOCK_BYTES)
    )
      return 0;
    const block = await this.#blockAt(this.#position);
    const at = this.#position - block.position;
    const part = block.memory.subarray(at, Math.min(at + wanted, block.bytes));
    view.set(part);
    return part.byteLength;
  }

  /** The block in which a position lies; the next one is read meanwhile. */
  async #blockAt(position: number): Promise<Block> {
    const known = this.#block;
    if (known !== undefined && position < known.position + known.bytes) return known;
    const block = await (this.#ahead ?? this.#load(position - (position % BLOCK_BYTES)));
    this.#spare = known?.memory;
    this.#block = block;
    const next = block.position + BLOCK_BYTES;
    this.#ahead = block.bytes === BLOCK_BYTES && next <= this.#end ? this.#load(next) : undefined;
    this.#ahead?.catch(() => {});
    return block;
  }

  async #load(position: number): Promise<Block> {
    const memory = this.#spare ?? pagesOf(BLOCK_BYTES);
    this.#spare = undefined;
    return { memory, position, bytes: await this.#direct.read(memory, BLOCK_BYTES, position) };
  }
}

function tooShort(path: string, size: number, end: number): PlatformError {
  return new PlatformError(
    'internal',
    `The file of blob ${basename(path)} has ${size} bytes and should have at least ${end + 1}: it was damaged on disk.`,
  );
}
