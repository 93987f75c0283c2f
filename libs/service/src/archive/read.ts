import { Bytes } from './bytes.ts';
import { Extensions, isExtension, OTHER_KINDS } from './extensions.ts';
import { damaged, gunzipped } from './gunzip.ts';
import { ArchiveError, BLOCK, type Header, isZero, readHeader } from './header.ts';
import { shownPath } from './tree-limits.ts';

/** One entry of an archive; its bytes may be read once, before the next entry is asked for. */
export interface ArchivedEntry {
  readonly header: TarHeader;
  /** Where its bytes begin, in bytes from the beginning of the archive as it is when it is not compressed. */
  readonly offset: number;
  bytes(): AsyncGenerator<Uint8Array>;
}

/** What an entry says about itself. `kind` is `file`, `folder`, `hard link`, or a word for what is none of these. */
export interface TarHeader {
  readonly name: string;
  readonly kind: string;
  /** In bytes; 0 for all that is no file. */
  readonly size: number;
  readonly executable: boolean;
  /** What a link leads to. */
  readonly link: string;
}

/** Of the extended headers before one entry: macOS puts the attributes of a file there. */
const EXTENDED_BYTES = 1024 ** 2;
/** Of all extended headers together. */
const ALL_EXTENDED_BYTES = 256 * 1024 ** 2;
/** Of the zeros after the end: programs fill an archive up to a record, whose size is chosen by whoever packs it. */
const PADDING_BYTES = 16 * 1024 ** 2;

/**
 * Reads the entries of a `.tar.gz` or a plain `.tar`, once, with bounds on all that is not an entry's bytes. A form of
 * tar that is not understood to the byte is refused, never guessed ([why](../../../../docs/decisions/0019-archives.md)).
 */
export class ArchiveReader {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #compressed: boolean;
  readonly #extensions = new Extensions();
  #extendedBytes = 0;

  constructor(source: AsyncIterable<Uint8Array>, compressed = true) {
    this.#source = source;
    this.#compressed = compressed;
  }

  /** The entries one by one. Throws {@link ArchiveError}, what the source throws, or the signal's reason. */
  async *entries(signal: AbortSignal): AsyncGenerator<ArchivedEntry> {
    const inflated = this.#compressed ? gunzipped(this.#source, signal) : plain(this.#source, signal);
    const bytes = new Bytes(inflated, this.#compressed);
    try {
      for (;;) {
        const block = await bytes.take(BLOCK);
        if (block === undefined) return this.#demandNoneIsDue();
        if (isZero(block)) return await this.#demandEnd(bytes);
        const header = readHeader(block);
        if (isExtension(header.flag)) await this.#extend(header.flag, header, bytes);
        else if (header.flag === 'V' && header.size === 0) this.#demandNoneIsDue();
        else yield* this.#entry(this.#extensions.applyTo(header), bytes);
      }
    } finally {
      await inflated.return(undefined);
    }
  }

  async *#entry(header: Header, bytes: Bytes): AsyncGenerator<ArchivedEntry> {
    const { name, size, link } = header;
    const kind = kindOf(header);
    if (kind !== 'file' && size > 0) {
      throw new ArchiveError(`The entry ${shownPath(name)} is a ${kind} that claims to have bytes.`, name);
    }
    let left = size;
    async function* content(): AsyncGenerator<Uint8Array> {
      while (left > 0) {
        const piece = await bytes.some(left);
        left -= piece.byteLength;
        yield piece;
      }
    }
    const executable = (header.mode & 0o111) !== 0;
    yield { header: { name, kind, size, link, executable }, offset: bytes.position, bytes: content };
    for await (const _ of content());
    await bytes.skip(filling(size));
  }

  /** A header that says something of the entry after it. */
  async #extend(flag: Parameters<Extensions['add']>[0], { name, size }: Header, bytes: Bytes): Promise<void> {
    this.#extendedBytes += size;
    if (size > EXTENDED_BYTES) {
      const message = `The extended header ${shownPath(name)} has more than ${EXTENDED_BYTES} bytes: pack without the extended attributes of files, on macOS with --no-xattrs --no-mac-metadata.`;
      throw new ArchiveError(message, name);
    }
    if (this.#extendedBytes > ALL_EXTENDED_BYTES) {
      throw new ArchiveError(
        `The extended headers have more than ${ALL_EXTENDED_BYTES} bytes together.`,
        name,
      );
    }
    const body = await bytes.take(size);
    if (body === undefined && size > 0) throw damaged('it is not a whole tar archive', this.#compressed);
    await bytes.skip(filling(size));
    this.#extensions.add(flag, name, body ?? Buffer.alloc(0));
  }

  #demandNoneIsDue(): void {
    if (this.#extensions.isPending)
      throw new ArchiveError('The archive has an extended header without an entry after it.');
  }

  /** After a block of zeros, there is nothing but zeros: a program that stops there would not see what else there is. */
  async #demandEnd(bytes: Bytes): Promise<void> {
    this.#demandNoneIsDue();
    for (let padding = 0; padding <= PADDING_BYTES; ) {
      const piece = await bytes.any();
      if (piece === undefined) return;
      if (!isZero(piece)) {
        throw new ArchiveError(
          'The archive goes on after its end: it may be several archives in one. Pack all files into one.',
        );
      }
      padding += piece.byteLength;
    }
    throw new ArchiveError(
      `The archive has more than ${PADDING_BYTES} bytes after its end, which belong to no entry.`,
    );
  }
}

function kindOf({ flag, name }: Header): string {
  switch (flag) {
    case '0':
      // Before there was a flag for folders, the name alone told them.
      return name.endsWith('/') ? 'folder' : 'file';
    case '1':
      return 'hard link';
    case '5':
      return 'folder';
    case '7':
      return 'file';
    default: {
      const other = OTHER_KINDS[flag] ?? {
        refusal: `is of a kind that is not known (type flag ${shownPath(flag)})`,
      };
      if ('kind' in other) return other.kind;
      throw new ArchiveError(`The entry ${shownPath(name)} ${other.refusal}.`, name);
    }
  }
}

/** How many bytes fill up the last block of so many. */
function filling(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

async function* plain(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source) {
    signal.throwIfAborted();
    yield chunk;
  }
}
