import { MIMEType } from 'node:util';
import { PlatformError } from '@morpheo/common';
import { ByteWindow, UnexpectedEnd } from './byte-window.ts';

/** The most bytes that the value of a text part may have. */
export const MOST_TEXT_BYTES = 255;
/** The same of the part that names problems: their ids by comma. */
export const MOST_PROBLEMS_BYTES = 4000;
const MOST_HEADER_BYTES = 16 * 1024;
/** The most characters of a media type, and of the disposition of a part, with all parameters. */
const LONGEST_FIELD = 2000;
const MOST_PREAMBLE_BYTES = 64 * 1024;
const MOST_EPILOGUE_BYTES = 64 * 1024;
const MOST_PARTS = 100;

/** A part of a form. Its file name and its type are of no meaning; only its name is. */
export type Part =
  | {
      readonly kind: 'text';
      /** Empty where the part has none. */
      readonly name: string;
      /** Cut after the most bytes that it may have. */
      readonly value: string;
      /** Nothing can be read behind a part that is too long. */
      readonly tooLong: boolean;
    }
  | {
      /** The part named `blob`. */
      readonly kind: 'blob';
      /** Pieces are good until the next one is asked for. Throws where the form ends within the blob. */
      readonly body: AsyncIterable<Uint8Array>;
    };

/** Parts in the order in which they come; disposing it lets go of the source, wherever it stands. */
export interface MultipartReader extends Disposable {
  /** The next part, or null after the last; nothing is read behind a blob. */
  next(): Promise<Part | null>;
  /**
   * Drops the little that follows the last boundary, so that the connection can be used again. Never throws: what went
   * before is complete.
   */
  finish(): Promise<void>;
}

/**
 * The boundary of a `multipart/*` body (RFC 2046 §5.1.1), or null where `contentType` is of another kind.
 * Throws `invalid_upload` in the originals' words where there is no boundary.
 */
export function multipartBoundary(contentType: string): string | null {
  if (!/^multipart\//i.test(contentType.slice(0, LONGEST_FIELD).trimStart())) return null;
  const boundary = parseMediaType(contentType).params.get('boundary') ?? '';
  if (/^[\x20-\x7e]{1,200}$/.test(boundary)) return boundary;
  throw malformed('multipart: boundary is empty');
}

/** A `Content-Type` field as its parts; throws `invalid_upload` in the originals' words. */
export function parseMediaType(contentType: string | undefined): MIMEType {
  if (isCostly(contentType ?? '')) throw refuse('Error parsing header "Content-Type": mime: malformed');
  const text = contentType?.trim() ?? '';
  if (text === '') throw refuse('Error parsing header "Content-Type": mime: no media type');
  // The originals take a type without subtype, to refuse it for what it is.
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(text)) throw notMultipart(text);
  try {
    return new MIMEType(text);
  } catch (cause) {
    throw refuse('Error parsing header "Content-Type": mime: malformed', cause);
  }
}

/** Whether Node's parser would take long for a field: it takes the square of the length of a run of blanks. */
function isCostly(field: string): boolean {
  return field.length > LONGEST_FIELD || /[ \t\r\n]{20}/.test(field);
}

/** What is said where a form is needed and something else comes. */
export function notMultipart(mediaType: string): PlatformError {
  return refuse(`Invalid media type: ${mediaType}. Should be: multipart/form-data`);
}

/**
 * Reads a form (RFC 7578) as it comes, piece by piece as it is asked for, in fixed memory. Errors of the source pass
 * through as they are; a body that is no form is `invalid_upload`.
 *
 * Written for this service because the part behind which nothing may be read decides what happens next, and because
 * parsers that push their parts hold on to the memory of what they have read.
 */
export function readMultipart(source: AsyncIterable<Uint8Array>, boundary: string): MultipartReader {
  return new FormReader(new ByteWindow(source), boundary);
}

const LINE_END = Buffer.from('\r\n');
const HEADER_END = Buffer.from('\r\n\r\n');

class FormReader implements MultipartReader {
  readonly #window: ByteWindow;
  readonly #delimiter: Buffer;
  #parts = 0;
  #ended: boolean = false;

  constructor(window: ByteWindow, boundary: string) {
    this.#window = window;
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  async next(): Promise<Part | null> {
    if (this.#ended) return null;
    if (this.#parts++ === 0) await this.#skipPreamble();
    if (this.#parts > MOST_PARTS) throw malformed(`more than ${MOST_PARTS} parts`);
    if (await this.#atEnd()) {
      this.#ended = true;
      return null;
    }
    const name = partName(await this.#collect(HEADER_END, MOST_HEADER_BYTES, 'the header of a part'));
    if (name !== 'blob') return await this.#readText(name);
    this.#ended = true;
    return { kind: 'blob', body: this.#readBlob() };
  }

  async finish(): Promise<void> {
    await this.#window.discard(MOST_EPILOGUE_BYTES).catch(() => {});
  }

  /** Goes behind the first boundary, which may stand at the very beginning. */
  async #skipPreamble(): Promise<void> {
    const opening = this.#delimiter.subarray(LINE_END.length);
    const start = await this.#window.peek(opening.length);
    if (start.equals(opening)) this.#window.skip(opening.length);
    else await this.#collect(this.#delimiter, MOST_PREAMBLE_BYTES, 'what comes before the first part');
  }

  /** Behind a boundary: true where it was the last one, else at the line end from which the header is read. */
  async #atEnd(): Promise<boolean> {
    for (;;) {
      const follows = (await this.#window.peek(2)).toString('latin1');
      if (follows === '--') return true;
      if (follows === '\r\n') return false;
      if (follows.length < 2) throw malformed('multipart: NextPart: EOF');
      // Padding may stand between a boundary and the end of its line.
      if (!/^[ \t]/.test(follows))
        throw malformed('a boundary is followed by something else than a line end');
      this.#window.skip(1);
    }
  }

  async #collect(mark: Buffer, most: number, what: string): Promise<string> {
    const { bytes, tooLong } = await this.#readShort(mark, most);
    if (tooLong) throw malformed(`${what} is longer than ${most} bytes`);
    return bytes.toString('latin1');
  }

  async #readText(name: string): Promise<Part> {
    const most = name === 'problems' ? MOST_PROBLEMS_BYTES : MOST_TEXT_BYTES;
    const { bytes, tooLong } = await this.#readShort(this.#delimiter, most);
    return { kind: 'text', name, value: bytes.toString('utf8'), tooLong };
  }

  /** Reads what comes before a mark, unless it is longer than `most` bytes: then the first of them. */
  async #readShort(mark: Buffer, most: number): Promise<{ bytes: Buffer; tooLong: boolean }> {
    const pieces: Buffer[] = [];
    let size = 0;
    try {
      for await (const piece of this.#window.until(mark)) {
        pieces.push(Buffer.from(piece));
        size += piece.byteLength;
        if (size > most) return { bytes: Buffer.concat(pieces).subarray(0, most), tooLong: true };
      }
    } catch (error) {
      throw error instanceof UnexpectedEnd ? malformed('multipart: NextPart: EOF', error) : error;
    }
    return { bytes: Buffer.concat(pieces), tooLong: false };
  }

  async *#readBlob(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#window.until(this.#delimiter);
    } catch (error) {
      throw error instanceof UnexpectedEnd ? malformed('unexpected EOF', error) : error;
    }
    const follows = (await this.#window.peek(2)).toString('latin1');
    if (!/^(?:--|\r\n|[ \t]|.?$)/s.test(follows)) throw malformed('the boundary stands within the blob');
  }

  [Symbol.dispose](): void {
    this.#window.close();
  }
}

/** The name in the header of a part: empty where it is no `form-data` or has no name. */
function partName(header: string): string {
  const lines = header.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  const disposition = lines.find((line) => /^content-disposition[ \t]*:/i.test(line)) ?? '';
  const value = disposition.slice(disposition.indexOf(':') + 1).trim();
  if (!/^form-data[ \t]*;/i.test(value)) return '';
  if (isCostly(value)) throw malformed('the disposition of a part is too long, or mostly blank');
  // A disposition has parameters as a media type has them.
  return new MIMEType(`multipart/${value}`).params.get('name') ?? '';
}

function malformed(reason: string, cause?: unknown): PlatformError {
  return refuse(`Error parsing multipart data: ${reason}`, cause);
}

function refuse(message: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_upload', message, { cause });
}
